/*
 * The few kinds of fields of a Protocol Buffers message that event files have. A field is its number and wire type, then
 * its value.
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const encoder = new TextEncoder();

/** A whole number of at least 0 in groups of seven bits, the lowest first. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function key(field: number, wireType: number): Uint8Array {
  return varint(field * 8 + wireType);
}

/** A `double`. */
export function doubleField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return concat([key(field, FIXED64), bytes]);
}

/** A `float`. */
export function floatField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return concat([key(field, FIXED32), bytes]);
}

/** An `int64` of at least 0. */
export function integerField(field: number, value: number): Uint8Array {
  return concat([key(field, VARINT), varint(value)]);
}

/** A message inside a message. */
export function messageField(field: number, message: Uint8Array): Uint8Array {
  return concat([key(field, LENGTH_DELIMITED), varint(message.length), message]);
}

/** A `string`. */
export function stringField(field: number, text: string): Uint8Array {
  return messageField(field, encoder.encode(text));
}

/** One array of the bytes of all. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

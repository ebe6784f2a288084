/*
 * TensorBoard's event files: TFRecords of `Event` messages, in the few kinds of fields of Protocol Buffers that these have.
 * Field numbers are those of TensorFlow's event.proto and summary.proto.
 */

// Wire types: with its number they are a field's key, which stands before its value.
const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const encoder = new TextEncoder();

/** A number under a tag, e.g. `train/loss`. */
export interface Scalar {
  readonly tag: string;
  readonly value: number;
}

/** The event that every file starts with. */
export function versionEvent(wallTime: number): Uint8Array {
  return concat([doubleField(1, wallTime), stringField(3, 'brain.Event:2')]);
}

/** SummaryMetadata.plugin_data.plugin_name: which part of TensorBoard shows the value. */
const METADATA = messageField(9, messageField(1, stringField(1, 'scalars')));

/**
 * The scalars of a step.
 *
 * @param wallTime seconds since 1970
 */
export function scalarsEvent(wallTime: number, step: number, scalars: readonly Scalar[]): Uint8Array {
  const values = scalars.map(({ tag, value }) =>
    messageField(1, concat([stringField(1, tag), floatField(2, value), METADATA])),
  );
  return concat([doubleField(1, wallTime), integerField(2, step), messageField(5, concat(values))]);
}

/** A TFRecord: length (8 bytes), its checksum (4), the data, their checksum (4); all little-endian. */
export function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return bytes;
}

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
function doubleField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return concat([key(field, FIXED64), bytes]);
}

/** A `float`. */
function floatField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return concat([key(field, FIXED32), bytes]);
}

/** An `int64` of at least 0. */
function integerField(field: number, value: number): Uint8Array {
  return concat([key(field, VARINT), varint(value)]);
}

/** A message inside a message. */
function messageField(field: number, message: Uint8Array): Uint8Array {
  return concat([key(field, LENGTH_DELIMITED), varint(message.length), message]);
}

/** A `string`. */
function stringField(field: number, text: string): Uint8Array {
  return messageField(field, encoder.encode(text));
}

/** One array of the bytes of all. */
function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Castagnoli's polynomial, its bits in reverse. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value;
});

/** CRC-32C (RFC 3720, appendix B.4) as an unsigned number. */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ TABLE[(value ^ byte) & 0xff]!;
  return (value ^ 0xffffffff) >>> 0;
}

/** The checksum as TFRecord stores it: turned and shifted, so that a checksum of data with checksums in them is sound. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const value = crc32c(bytes);
  return (((value >>> 15) | (value << 17)) + 0xa282ead8) >>> 0;
}

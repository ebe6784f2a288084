/*
 * A walk over Thrift's compact protocol, in which Parquet's footer and page headers are written, that checks what a
 * reader takes on trust: that lists are no longer than the bytes that are there, and nesting no deeper than Parquet's.
 */

const MOST_LEVELS = 32;

const BOOLEANS = [1, 2];
const BYTE = 3;
const VARINTS = [4, 5, 6];
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

/** Longest varint: 64 bits in groups of seven. */
const VARINT_BYTES = 10;

/**
 * Checks a struct.
 *
 * @param view the bytes
 * @param start where the struct starts
 * @returns where it ends
 * @throws Error saying what is wrong
 */
export function checkStruct(view: DataView, start: number, level = 0): number {
  if (level > MOST_LEVELS) throw new Error(`it is nested deeper than ${MOST_LEVELS}`);
  let at = start;
  while (true) {
    const head = byteAt(view, at++);
    const type = head & 0x0f;
    if (type === 0) return at;
    // The field's number, where it is not a small step from the one before.
    if (head >> 4 === 0) at = checkVarint(view, at).end;
    at = BOOLEANS.includes(type) ? at : checkValue(view, at, type, level);
  }
}

function checkValue(view: DataView, at: number, type: number, level: number): number {
  if (type === BYTE || BOOLEANS.includes(type)) return inside(view, at + 1);
  if (VARINTS.includes(type)) return checkVarint(view, at).end;
  if (type === DOUBLE) return inside(view, at + 8);
  if (type === STRUCT) return checkStruct(view, at, level + 1);
  if (type === BINARY) {
    const { value, end } = checkVarint(view, at);
    return inside(view, end + value);
  }
  if (type !== LIST) throw new Error(`it has a field of the unknown type ${type}`);
  const head = byteAt(view, at);
  const long = head >> 4 === 15;
  const { value: count, end } = long ? checkVarint(view, at + 1) : { value: head >> 4, end: at + 1 };
  // Every element takes a byte or more.
  inside(view, end + count);
  let next = end;
  for (let i = 0; i < count; i++) next = checkValue(view, next, head & 0x0f, level + 1);
  return next;
}

function checkVarint(view: DataView, start: number): { value: number; end: number } {
  let value = 0;
  for (let i = 0; i < VARINT_BYTES; i++) {
    const byte = byteAt(view, start + i);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: start + i + 1 };
  }
  throw new Error('it has a number that does not end');
}

function byteAt(view: DataView, at: number): number {
  inside(view, at + 1);
  return view.getUint8(at);
}

function inside(view: DataView, end: number): number {
  if (end > view.byteLength) throw new Error('it ends before it is complete');
  return end;
}

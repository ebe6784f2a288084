/** Element types that take whole bytes, in the format's own order (increasing alignment), with their size in bytes. */
const SIZES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  F8_E4M3FNUZ: 1,
  F8_E5M2FNUZ: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** Element type of a tensor in a safetensors file. */
export type SafetensorsDtype = keyof typeof SIZES;

const ORDER = new Map(Object.keys(SIZES).map((name, index) => [name, index]));

/** Whether a word names an element type that is known here. */
export function isDtype(word: unknown): word is SafetensorsDtype {
  return typeof word === 'string' && ORDER.has(word);
}

/** Bytes of one element. */
export function dtypeSize(dtype: SafetensorsDtype): number {
  return SIZES[dtype];
}

/** Place in the format's order of alignment: files list the highest first. */
export function dtypeRank(dtype: SafetensorsDtype): number {
  return ORDER.get(dtype) ?? -1;
}

/** Bytes of a tensor, or undefined where the count is above 2^53 − 1 and so cannot be right. */
export function byteLength(dtype: SafetensorsDtype, shape: readonly number[]): number | undefined {
  let bytes = SIZES[dtype] as number;
  for (const extent of shape) {
    bytes *= extent;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

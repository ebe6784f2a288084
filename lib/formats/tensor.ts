import { BertuneError } from '../errors.js';

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

/** An array as a file holds it. */
export interface Tensor {
  dtype: SafetensorsDtype;
  shape: number[];
  /** The elements in row-major order, little-endian. Tensors read from one file share its buffer. */
  data: Uint8Array;
}

/** What a header says of an array. */
export type DescribedTensor = Pick<Tensor, 'dtype' | 'shape'> & {
  /** Bytes. */
  data: { readonly length: number };
};

/** An array that is fetched when it is written, so that only one of many is in memory. */
export interface LazyTensor extends DescribedTensor {
  data: { readonly length: number; read(): Promise<Uint8Array> };
}

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

/**
 * The elements as float32, always a copy. F16 and BF16 are exact (a NaN keeps its payload), F64 and integers are
 * rounded to the nearest.
 *
 * @throws BertuneError CHECKPOINT_INVALID for the 8-bit floats and complex numbers
 */
export function toFloat32(tensor: Tensor): Float32Array {
  const { buffer, start, count } = aligned(tensor);
  switch (tensor.dtype) {
    case 'F32':
      // Bits are copied, not values, so that every NaN stays as it is.
      return new Float32Array(new Uint32Array(buffer, start, count).slice().buffer);
    case 'F16':
      return fromBits(new Uint16Array(buffer, start, count), halfToFloatBits);
    case 'BF16':
      return fromBits(new Uint16Array(buffer, start, count), (bits) => bits << 16);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, start, count));
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer, start, count), Number);
    case 'U64':
      return Float32Array.from(new BigUint64Array(buffer, start, count), Number);
    case 'I32':
      return Float32Array.from(new Int32Array(buffer, start, count));
    case 'U32':
      return Float32Array.from(new Uint32Array(buffer, start, count));
    case 'I16':
      return Float32Array.from(new Int16Array(buffer, start, count));
    case 'U16':
      return Float32Array.from(new Uint16Array(buffer, start, count));
    case 'I8':
      return Float32Array.from(new Int8Array(buffer, start, count));
    case 'U8':
    case 'BOOL':
      return Float32Array.from(new Uint8Array(buffer, start, count));
    default:
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected a tensor of F64, F32, F16, BF16 or integers but received ${tensor.dtype}`,
      );
  }
}

/**
 * A tensor of dtype F32 that shares the memory of `values`.
 *
 * @throws BertuneError SHAPE_MISMATCH where the shape holds another number of elements
 */
export function fromFloat32(values: Float32Array, shape: readonly number[]): Tensor {
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (byteLength('F32', shape) !== data.length) {
    throw new BertuneError(
      'SHAPE_MISMATCH',
      `Expected as many values as the shape [${shape.join(', ')}] holds but received ${values.length}`,
    );
  }
  return { dtype: 'F32', shape: [...shape], data };
}

/** Where a typed array can be laid over the tensor; over a copy where the file did not align it. */
function aligned({ dtype, data }: Tensor): { buffer: ArrayBuffer; start: number; count: number } {
  const size = dtypeSize(dtype);
  const bytes = data.byteOffset % size === 0 ? data : new Uint8Array(data);
  return { buffer: bytes.buffer as ArrayBuffer, start: bytes.byteOffset, count: Math.floor(bytes.length / size) };
}

function fromBits(halves: Uint16Array, toFloatBits: (bits: number) => number): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = toFloatBits(halves[i]!);
  return new Float32Array(bits.buffer);
}

/** IEEE 754 binary16 → binary32: sign 1, exponent 5 (bias 15), fraction 10 → sign 1, exponent 8 (bias 127), fraction 23. */
function halfToFloatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal, fraction · 2^−24: shift its leading one to where a normal number's implicit one is.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

import type { SafetensorsDtype } from './dtypes.js';

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

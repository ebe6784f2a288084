import type { SafetensorsDtype } from './dtypes.js';

/** An array as a file holds it. */
export interface Tensor {
  dtype: SafetensorsDtype;
  shape: number[];
  /** The elements in row-major order, little-endian. Tensors read from one file share its buffer. */
  data: Uint8Array;
}

import { BertuneError } from './errors.js';

/** Element types of a safetensors file that take whole bytes. */
export type SafetensorsDtype =
  | 'BOOL'
  | 'U8'
  | 'I8'
  | 'F8_E5M2'
  | 'F8_E4M3'
  | 'F8_E8M0'
  | 'I16'
  | 'U16'
  | 'F16'
  | 'BF16'
  | 'I32'
  | 'U32'
  | 'F32'
  | 'C64'
  | 'F64'
  | 'I64'
  | 'U64';

/** An array as a file holds it. */
export interface Tensor {
  dtype: SafetensorsDtype;
  shape: number[];
  /** The elements in row-major order, little-endian. Tensors read from one file share its buffer. */
  data: Uint8Array;
}

/** What a safetensors file holds. */
export interface Safetensors {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

/**
 * Reads a safetensors file. Everything its header claims is checked before memory is taken for its contents.
 *
 * @throws BertuneError NOT_FOUND where there is no file, CHECKPOINT_INVALID where it is not a sound safetensors file
 */
export async function readSafetensors(path: string): Promise<Safetensors> {
  throw new BertuneError('INTERNAL', `not written yet: ${path}`);
}

/**
 * Writes a safetensors file atomically, laid out as the safetensors library does: by alignment, then name.
 *
 * @param metadata Defaults to `{ format: 'pt' }`, as Hugging Face writes it.
 * @throws BertuneError OUTPUT_REFUSED where the file cannot be written, INVALID_OPTION for a tensor that is not sound
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Promise<void> {
  throw new BertuneError('INTERNAL', `not written yet: ${path} ${tensors.size} ${metadata}`);
}

/** The elements as float32: F16, BF16 and integers converted, F64 rounded. Always a copy. */
export function toFloat32(tensor: Tensor): Float32Array {
  throw new BertuneError('INTERNAL', `not written yet: ${tensor.dtype}`);
}

/** A tensor of dtype F32 that shares the memory of `values`. */
export function fromFloat32(values: Float32Array, shape: readonly number[]): Tensor {
  throw new BertuneError('INTERNAL', `not written yet: ${values.length} ${shape}`);
}

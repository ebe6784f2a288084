import { BertuneError } from '../../errors.js';
import type { Tensor } from '../safetensors.js';

/** Element types that parameters may have in a file. */
const PARAMETER_DTYPES = ['F64', 'F32', 'F16', 'BF16'];

/**
 * Checks a parameter against what the model needs.
 *
 * @param name for messages
 * @param shape what is needed; null for an extent that may be anything
 * @param where the file or directory, for messages
 * @throws BertuneError SHAPE_MISMATCH, CHECKPOINT_INVALID (not floating point)
 */
export function checkParameter(name: string, tensor: Tensor, shape: readonly (number | null)[], where: string): void {
  const fits =
    tensor.shape.length === shape.length && shape.every((extent, i) => extent === null || extent === tensor.shape[i]);
  if (!fits) {
    const expected = shape.map((extent) => extent ?? '*').join(', ');
    throw new BertuneError(
      'SHAPE_MISMATCH',
      `Expected the shape [${expected}] for tensor ${name} in ${where} but found [${tensor.shape.join(', ')}]`,
    );
  }
  if (!PARAMETER_DTYPES.includes(tensor.dtype)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${PARAMETER_DTYPES.join(', ')} for tensor ${name} in ${where} but found ${tensor.dtype}`,
    );
  }
}

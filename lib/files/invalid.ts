import { BertuneError } from '../errors.js';

/** The most characters of a value that an error shows. */
const MAX_SHOWN = 100;

/**
 * The error for a value in a file that is of the wrong type or out of range.
 *
 * @param path the file
 * @param key the value's key
 * @param expected what should be there, as in "an integer from 1 to 8"
 * @param value what is there
 */
export function invalidValue(path: string, key: string, expected: string, value: unknown): BertuneError {
  const found = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? 'nothing');
  const shown = found.length > MAX_SHOWN ? `${found.slice(0, MAX_SHOWN)}…` : found;
  return new BertuneError('CHECKPOINT_INVALID', `Expected ${expected} for ${key} in ${path} but found ${shown}`);
}

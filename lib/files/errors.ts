import { constants } from 'node:os';
import { BertuneError, type ErrorCode } from '../errors.js';

/* What is said of files that cannot be read or written, or hold something wrong. */

/** What the file system said, as OUTPUT_REFUSED; anything else as it is. */
export function refusal(path: string, cause: unknown): unknown {
  const { code, errno } = (cause ?? {}) as NodeJS.ErrnoException;
  if (cause instanceof BertuneError || typeof code !== 'string') return cause;
  // The one error of a full disk that Node has no words for.
  const isQuota = errno === -constants.errno.EDQUOT;
  const reason = isQuota ? 'EDQUOT: disk quota exceeded' : (cause as Error).message;
  return new BertuneError('OUTPUT_REFUSED', `Expected to write to ${path} but ${reason}`, { cause });
}

/** The error for a directory in the place of a file that is to be written. */
export function directoryInPlace(path: string): BertuneError {
  return new BertuneError('OUTPUT_REFUSED', `Expected to write the file ${path} but found a directory there`);
}

/** What the file system said of a file or a directory to be read, as `code`, or NOT_FOUND; anything else as it is. */
export function readError(path: string, cause: unknown, code: ErrorCode): unknown {
  const reason = (cause as NodeJS.ErrnoException | null)?.code;
  if (cause instanceof BertuneError || typeof reason !== 'string') return cause;
  if (reason === 'ENOENT' || reason === 'ENOTDIR') return noFile(path, cause);
  return new BertuneError(code, `Expected to read ${path} but ${(cause as Error).message}`, { cause });
}

/** The error for a file to be read that is not there. */
export function noFile(path: string, cause?: unknown): BertuneError {
  return new BertuneError('NOT_FOUND', `Expected a file at ${path} but there is none`, { cause });
}

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

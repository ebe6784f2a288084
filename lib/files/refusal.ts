import { constants } from 'node:os';
import { BertuneError } from '../errors.js';

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

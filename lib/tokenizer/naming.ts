import { BertuneError } from '../errors.js';

/**
 * Does what a tokenizer's files may make impossible: code that trusts them throws at what they should not hold.
 *
 * @param directory of the files, for messages
 * @throws BertuneError CHECKPOINT_INVALID, or the error of ours that `work` threw
 */
export function namingDirectory<T>(directory: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof BertuneError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BertuneError('CHECKPOINT_INVALID', `Cannot use the tokenizer of ${directory}: ${reason}`, { cause });
  }
}

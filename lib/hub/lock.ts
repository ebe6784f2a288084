import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadNative } from '../native/index.js';
import { throwIfAborted } from '../time-slice.js';

const POLL_MILLISECONDS = 100;

/** A holder without progress for this long may be stopped, or stuck for good. */
const PATIENCE_MILLISECONDS = 120_000;

/** Opens or makes a file that others may have replaced: follows no link, and waits for no pipe. Windows has neither flag. */
export const OWN_FILE_FLAGS =
  constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** How to wait for a lock. */
export interface LockWait {
  /** Ends the wait with ABORTED. */
  readonly signal: AbortSignal | undefined;
  /** A value that changes as the holder gets on. */
  readonly progress: () => Promise<unknown>;
  /** Milliseconds without progress after which the holder is given up. Defaults to two minutes. */
  readonly patience?: number;
}

/**
 * Does work that one process at a time should do. The kernel keeps the lock: it holds between containers of one machine,
 * depends on no clock or process id, and ends with its holder. The empty file stays, since removing it would let two
 * processes lock two files of the same name.
 *
 * The lock only saves double work. Where there are no locks, or its file cannot be opened, the work is done without; those
 * who give up a holder that makes no progress take turns by a second lock.
 *
 * @param path the lock file, whose directory exists
 * @throws BertuneError ABORTED; what `work` throws
 */
export async function withLock<T>(path: string, wait: LockWait, work: () => Promise<T>): Promise<T> {
  for (let turn = 1; ; turn += 1) {
    const fd = openLock(turn === 1 ? path : `${path}.${turn}`);
    try {
      if (fd !== undefined && !(await waitForLock(fd, wait))) continue;
      throwIfAborted(wait.signal);
      return await work();
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }
}

/** Locks an open file until it is closed; false where another has it, undefined where there are no locks. */
export function tryLock(fd: number): boolean | undefined {
  try {
    return loadNative().lockFile(fd);
  } catch {
    return undefined;
  }
}

function openLock(path: string): number | undefined {
  try {
    return openSync(path, OWN_FILE_FLAGS, 0o664);
  } catch {
    return undefined;
  }
}

/** False once its holder has made no progress for too long. */
async function waitForLock(
  fd: number,
  { signal, progress, patience = PATIENCE_MILLISECONDS }: LockWait,
): Promise<boolean> {
  let until = performance.now() + patience;
  let before: unknown;
  while (tryLock(fd) === false) {
    throwIfAborted(signal);
    const now = await progress();
    if (now !== before) until = performance.now() + patience;
    else if (performance.now() >= until) return false;
    before = now;
    await sleep(POLL_MILLISECONDS, undefined, signal ? { signal } : {}).catch(() => undefined);
  }
  return true;
}

import { BertuneError } from '../errors.js';
import type { Progress } from './progress.js';

/** Exit statuses that a shell gives to a process ended by these signals: 128 + the signal's number. */
const STATUS: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/** A second signal this soon is the first once more: npm and timeout pass on what the whole group has got already. */
const SAME_MILLISECONDS = 500;

/**
 * Carries work out that Ctrl-C (SIGINT) or SIGTERM stops: the first aborts its signal, a second ends the process at
 * once. Stopped work ends the process with the status that a shell gives to the signal.
 *
 * @param work given the signal; it may come to an end or reject with ABORTED when stopped
 */
export async function interruptibly(progress: Progress, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  let status: number | undefined;
  let since = 0;
  const listener = (name: string) => {
    if (status !== undefined) {
      if (performance.now() - since > SAME_MILLISECONDS) quit(name);
      return;
    }
    status = STATUS[name];
    since = performance.now();
    const isTyped = name === 'SIGINT' && process.stderr.isTTY;
    progress.note(isTyped ? 'stopping; press Ctrl-C again to quit at once' : 'stopping');
    controller.abort(new BertuneError('ABORTED', `the process received ${name}`));
  };
  for (const name of Object.keys(STATUS)) process.on(name, listener);
  try {
    await work(controller.signal);
  } catch (error) {
    const stopped = status !== undefined && error instanceof BertuneError && error.code === 'ABORTED';
    if (!stopped) throw error;
  } finally {
    for (const name of Object.keys(STATUS)) process.off(name, listener);
    progress.clear();
    if (status !== undefined) process.exitCode = status;
  }
}

/** Leaves it to the kernel, as if nobody listened: process.exit() waits for what the thread pool writes to a dead disk. */
function quit(name: string): void {
  process.removeAllListeners(name);
  process.kill(process.pid, name);
}

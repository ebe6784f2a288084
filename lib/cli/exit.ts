import { CommanderError } from 'commander';
import { BertuneError } from '../errors.js';
import { printable, printableLines } from '../printable.js';
import type { Progress } from './progress.js';
import { errorPrefix } from './ranks.js';
import { ReaderGone } from './terminal.js';

/** Exit statuses: 0 is done, 130 and 143 are the signals' own. */
export const EXIT_ERROR = 1;
const EXIT_USAGE = 2;

/**
 * Says what went wrong in one line on stderr; the stack as well where DEBUG is set. Of several processes the first alone does,
 * unless the error is one's own.
 *
 * @returns the exit status that belongs to it
 */
export async function reportFailure(error: unknown): Promise<number> {
  if (error instanceof ReaderGone || (error instanceof CommanderError && error.exitCode === 0)) return 0;
  const own = error instanceof BertuneError ? error.code : undefined;
  const prefix = await errorPrefix(error instanceof CommanderError ? 'INVALID_OPTION' : own);
  // Commander has said what it had to say.
  if (error instanceof CommanderError) return EXIT_USAGE;
  const code = own ?? 'INTERNAL';
  const status = code === 'INVALID_OPTION' ? EXIT_USAGE : EXIT_ERROR;
  if (prefix === null) return status;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`error [${code}]: ${printable(prefix + message)}\n`);
  if (process.env.DEBUG) process.stderr.write(`${printableLines(details(error))}\n`);
  return status;
}

function details(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const cause = error.cause === undefined ? '' : `\ncaused by: ${details(error.cause) || String(error.cause)}`;
  return `${error.stack ?? ''}${cause}`;
}

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

/** Leaves it to the kernel, as if there were no listener: process.exit() waits for the thread pool's writes to a dead disk. */
function quit(name: string): void {
  process.removeAllListeners(name);
  process.kill(process.pid, name);
}

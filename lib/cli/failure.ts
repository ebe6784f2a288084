import { CommanderError } from 'commander';
import { BertuneError } from '../errors.js';
import { printable, printableLines } from '../printable.js';
import { ReaderGone } from './terminal.js';

/** Exit statuses: 0 is done, 130 and 143 are the signals' own. */
export const EXIT_ERROR = 1;
export const EXIT_USAGE = 2;

/**
 * Says what went wrong in one line on stderr; the stack as well where DEBUG is set.
 *
 * @returns the exit status that belongs to it
 */
export function reportFailure(error: unknown): number {
  // Commander has said what it had to say; help and --version end with 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof ReaderGone) return 0;
  const code = error instanceof BertuneError ? error.code : 'INTERNAL';
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`error [${code}]: ${printable(message)}\n`);
  if (process.env.DEBUG) process.stderr.write(`${printableLines(details(error))}\n`);
  return code === 'INVALID_OPTION' ? EXIT_USAGE : EXIT_ERROR;
}

function details(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const cause = error.cause === undefined ? '' : `\ncaused by: ${details(error.cause) || String(error.cause)}`;
  return `${error.stack ?? ''}${cause}`;
}

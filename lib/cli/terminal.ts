import picocolors from 'picocolors';
import { BertuneError } from '../errors.js';
import { reportFailure } from './failure.js';

type Colors = ReturnType<typeof picocolors.createColors>;

/** The part of a tty.WriteStream that is needed here, so that tests can pass their own. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): boolean;
}

/** Whether lines can be rewritten on a stream: a terminal that knows escape sequences. */
export function isInteractive(stream: OutputStream, environment: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && environment.TERM !== 'dumb';
}

/** Colours for a stream: none under NO_COLOR, always under FORCE_COLOR, otherwise where it is a terminal. */
export function colorsFor(stream: OutputStream, environment: NodeJS.ProcessEnv = process.env): Colors {
  const forced = Boolean(environment.FORCE_COLOR) && environment.FORCE_COLOR !== '0';
  return picocolors.createColors(!environment.NO_COLOR && (forced || isInteractive(stream, environment)));
}

/**
 * Writes a result to stdout, and waits while the reader is slower than we are.
 *
 * @returns once the stream takes more
 */
export async function writeResult(text: string): Promise<void> {
  if (process.stdout.write(text)) return;
  await new Promise<void>((resolve) => process.stdout.once('drain', resolve));
}

/**
 * Ends the process when its output finds no taker: quietly where the reader went away, as in `bertune predict ... | head`;
 * with an error where results cannot be written, e.g. to a full disk. What stderr does not take is lost, and no more.
 */
export function endOnBrokenOutput(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    if (stream === process.stderr) return;
    const message = `Cannot write to standard output: ${error.message}`;
    process.exit(reportFailure(new BertuneError('OUTPUT_REFUSED', message, { cause: error })));
  });
}

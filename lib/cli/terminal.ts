import picocolors from 'picocolors';
import { BertuneError } from '../errors.js';
import { type Section, sectionText } from '../report/sections.js';
import { USUAL_WIDTH } from '../report/table.js';

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

/** Colors for a stream: none under NO_COLOR, always under FORCE_COLOR, otherwise where it is a terminal. */
export function colorsFor(stream: OutputStream, environment: NodeJS.ProcessEnv = process.env): Colors {
  const forced = Boolean(environment.FORCE_COLOR) && environment.FORCE_COLOR !== '0';
  return picocolors.createColors(!environment.NO_COLOR && (forced || isInteractive(stream, environment)));
}

/** Columns that results may take: the terminal's, or as many as fit most where they go to a file or a pipe. */
export function resultWidth(): number {
  return process.stdout.columns ?? USUAL_WIDTH;
}

/** Sections for stdout. */
export function sectionsText(sections: readonly Section[]): string {
  const { bold } = colorsFor(process.stdout);
  return sections.map((section) => sectionText(section, bold, resultWidth())).join('');
}

/** Nobody reads stdout any more, as in `bertune predict ... | head -1`: the command ends, but quietly. */
export class ReaderGone extends Error {}

/**
 * Writes a result to stdout, and waits until it is taken.
 *
 * @throws ReaderGone where nobody reads on; BertuneError OUTPUT_REFUSED where it cannot be written, e.g. to a full disk
 */
export function writeResult(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(refused(error)) : resolve()));
  });
}

function refused(cause: NodeJS.ErrnoException): Error {
  if (cause.code === 'EPIPE') return new ReaderGone('Nobody reads standard output', { cause });
  return new BertuneError('OUTPUT_REFUSED', `Cannot write to standard output: ${cause.message}`, { cause });
}

/** Lets the process outlive its readers: what stderr does not take is lost; what stdout does not, `writeResult` tells. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

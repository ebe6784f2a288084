import { basename, dirname, extname } from 'node:path';
import { BertuneError } from '../../errors.js';
import { lstat, realpath } from '../../files/fs.js';
import { expectFilePlaces, writeFilesAtomic, writeFully } from '../../files/output.js';
import type { ColumnOptions } from './columns.js';
import { DelimitedFormat } from './delimited-format.js';
import { JsonLinesFormat } from './json-format.js';
import type { Predicted } from './predicted.js';

/** How predictions are written. */
export interface OutputFormat {
  /** The lines of some more rows; before the first, those of the file's head. */
  lines(rows: readonly Predicted[]): string;
}

const FORMATS: Readonly<Record<string, (options: ColumnOptions) => OutputFormat>> = {
  '.csv': (options) => new DelimitedFormat(options, ','),
  '.tsv': (options) => new DelimitedFormat(options, '\t'),
  '.jsonl': (options) => new JsonLinesFormat(options),
  '.ndjson': (options) => new JsonLinesFormat(options),
};

/**
 * The format that a file's name says.
 *
 * @throws BertuneError INVALID_OPTION for one that is not known
 */
export function formatOf(path: string, options: ColumnOptions): OutputFormat {
  const format = FORMATS[extname(path).toLowerCase()];
  if (format !== undefined) return format(options);
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected a name that ends in ${Object.keys(FORMATS).join(', ')} for --output but received ${JSON.stringify(path)}`,
  );
}

/**
 * Checks that a file can be written, before the work that makes it.
 *
 * @param options.overwrite whether one that is there is replaced
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function expectOutputFile(path: string, { overwrite }: { overwrite: boolean }): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found && !found.isDirectory() && !overwrite) {
    throw new BertuneError('OUTPUT_REFUSED', `There is a file ${path} already; pass --overwrite to replace it`);
  }
  await expectFilePlaces(dirname(path), [basename(path)]);
}

/**
 * Refuses to write predictions over the file that they are about, under whatever name.
 *
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function expectOtherFile(output: string, input: string): Promise<void> {
  const [there, read] = await Promise.all([output, input].map((path) => realpath(path).catch(() => undefined)));
  if (there === undefined || there !== read) return;
  throw new BertuneError('OUTPUT_REFUSED', `--output ${output} is the file that --file reads; give it another name`);
}

/**
 * Writes a file piece by piece under a temporary name, and gives it its own when it is whole: on failure nothing is left,
 * and a file that had been there is as it was.
 *
 * @param pieces its text; the next is asked for when the one before is written
 * @throws BertuneError OUTPUT_REFUSED; what `pieces` throws
 */
export async function writeOutputFile(path: string, pieces: AsyncIterable<string>): Promise<void> {
  const write = async (file: Parameters<typeof writeFully>[0]) => {
    for await (const piece of pieces) await writeFully(file, Buffer.from(piece));
  };
  await writeFilesAtomic(dirname(path), [{ name: basename(path), write }]);
}

import { BertuneError } from '../errors.js';
import { delimitedRecords } from './delimited.js';
import { DATA_EXTENSIONS, extensionOf } from './file-kind.js';
import { jsonRecords } from './json-array.js';
import { jsonLineRecords } from './json-lines.js';
import { parquetRecords } from './parquet.js';
import type { DataRecord, RecordOptions } from './records.js';

/** Reads the records of one kind of file. */
export type RecordReader = (path: string, options: RecordOptions) => AsyncGenerator<readonly DataRecord[]>;

const READERS: Readonly<Record<string, RecordReader>> = {
  '.csv': delimitedRecords,
  '.tsv': delimitedRecords,
  '.txt': delimitedRecords,
  '.jsonl': jsonLineRecords,
  '.ndjson': jsonLineRecords,
  '.json': jsonRecords,
  '.parquet': parquetRecords,
};

/**
 * Reads a data file's rows with all their columns, in the file's order, some at a time: of text files what is read in a
 * few milliseconds, of Parquet a part of a row group. The event loop runs in between.
 *
 * @param path a file that ends in one of DATA_EXTENSIONS
 * @param options how it is written, which columns to decode
 * @throws BertuneError NOT_FOUND: no such file · INVALID_DATA: a file of another kind, not in its encoding, an open quote, a
 *   row with too few or too many columns, broken JSON or Parquet; with the line or row · ABORTED
 */
export async function* readRecords(path: string, options: RecordOptions = {}): AsyncGenerator<readonly DataRecord[]> {
  const read = READERS[extensionOf(path).replace(/\.gz$/, '')];
  if (read === undefined || !DATA_EXTENSIONS.includes(extensionOf(path))) {
    const endings = DATA_EXTENSIONS.join(', ');
    const advice = /\.(xlsx?|xlsm|ods|numbers)$/i.test(path) ? ': save the table as CSV UTF-8' : '';
    throw new BertuneError('INVALID_DATA', `Expected a file ending in one of ${endings} but received ${path}${advice}`);
  }
  yield* read(path, options);
}

/** What the place of a file's records counts. */
export function placeUnit(path: string): 'line' | 'row' {
  return extensionOf(path) === '.parquet' ? 'row' : 'line';
}

import { BertuneError } from '../errors.js';
import { delimitedRecords } from './delimited.js';
import { DATA_EXTENSIONS, extensionOf } from './extensions.js';
import { jsonRecords } from './json-array.js';
import { jsonLineRecords } from './json-lines.js';
import { parquetRecords } from './parquet.js';
import type { DatasetOptions } from './types.js';

/** A row of a file, with all that is read of it. */
export interface DataRecord {
  /** Where it starts: its line, or its row in a Parquet file, from 1. */
  readonly place: number;
  /** The names of its columns (C), in the file's order. */
  readonly columns: readonly string[];
  /**
   * The value of each column (C): strings in delimited files; in JSON what JSON has; in Parquet besides bigint (INT64),
   * Date and Uint8Array (bytes that are no text).
   */
  readonly values: readonly unknown[];
  /** An object of JSON as it is written, which its values may not be: numbers beyond 2^53, NaN, keys that are integers. */
  readonly json?: string;
  /** The rows that it would be if quotes meant nothing, where these would all be whole. */
  readonly unquoted?: readonly (readonly string[])[] | undefined;
  /** The value of a column, or of a nested one by its path, e.g. `review.body`; undefined where there is none. */
  get(column: string): unknown;
}

/** What a file has for columns, known before its first record. */
export interface FileColumns {
  /** In the file's order; of JSON, those of the first object. */
  readonly names: readonly string[];
  /** The paths of nested columns, e.g. `review.body`. */
  readonly nested: readonly string[];
  /** Whether the names are the first line of a delimited file. */
  readonly isHeader?: boolean;
  /** The first records, where columns have no names but are numbered: `1`, `2`, … */
  readonly sample?: readonly DataRecord[];
  /** The classes that a column's integers count, where the file names them. */
  classNames?(column: string): readonly string[] | undefined;
}

/** How a file's records are read. */
export interface RecordOptions
  extends Pick<DatasetOptions, 'encoding' | 'delimiter' | 'quoting' | 'header' | 'signal'> {
  /** Called once, with the file's columns: says which to decode; the others may be undefined. Defaults to all. */
  columns?: (columns: FileColumns) => readonly string[];
  /** Called with what is worth knowing about how the file was read. Defaults to nothing. */
  onNote?: (note: string) => void;
  /** Called in place of throwing at a row that cannot be read, which is then left out. Defaults to throwing. */
  onInvalid?: (invalid: InvalidRow) => void;
  /** Called as the file is read, with the share of it that is, from 0 to 1. Defaults to none. */
  onProgress?: (share: number) => void;
}

/** A row that cannot be read. */
export interface InvalidRow {
  /** What is wrong, as in "15 rows ...", e.g. `without a label`. */
  readonly reason: string;
  readonly place: number;
  readonly error: BertuneError;
}

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

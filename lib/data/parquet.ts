import {
  type AsyncBuffer,
  type DecodedArray,
  type FileMetaData,
  type ParquetScan,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type SchemaTree,
} from 'hyparquet';
import { BertuneError } from '../errors.js';
import { openFile, readFully } from '../files/input.js';
import { TimeSlice } from '../time-slice.js';
import { classNames } from './card.js';
import { chooseColumns } from './columns.js';
import { loadDecompressors } from './decompressors.js';
import { expectRatio } from './limits.js';
import { type ColumnMetadata, ParquetPages } from './parquet-pages.js';
import type { Rows } from './rows.js';
import { checkStruct } from './thrift.js';
import type { ReadOptions } from './types.js';

const MAGIC = 'PAR1';
const ENCRYPTED_MAGIC = 'PARE';
/** Rows take no bytes where all are the same: so many are believed, and so many more for each byte of the file. */
const FREE_ROWS = 1_000_000;
const MOST_ROWS_A_BYTE = 64;

/** Both magics and the length of the metadata. */
const LEAST_BYTES = 12;

const utf8 = new TextDecoder('utf-8', { fatal: true });
const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => bytes && utf8.decode(bytes) };

/**
 * Reads a Parquet file: of each row group, one after the other, the columns that are used. Texts are strings; labels
 * are strings, integers, booleans, or null for none. Names of the classes are taken from the `huggingface` key of the
 * file's metadata.
 *
 * @param path the file
 * @param rows of the split, to which its rows are added
 * @param options which columns
 * @throws BertuneError NOT_FOUND: no such file or column · INVALID_DATA: no whole Parquet file, one that is encrypted or
 *   compressed in a way that is not known, nested columns, a text that is null, with its row · ABORTED
 */
export async function readParquet(path: string, rows: Rows, options: ReadOptions): Promise<void> {
  const { file: handle, size } = await openFile(path, 'INVALID_DATA');
  try {
    const read = async (start: number, length: number): Promise<ArrayBuffer> => {
      const bytes = new Uint8Array(new ArrayBuffer(length));
      await readFully(handle, bytes, start, path, 'INVALID_DATA');
      return bytes.buffer;
    };
    await expectParquet(path, size, read);
    await expectMetadata(path, size, read);
    const file: AsyncBuffer = {
      byteLength: size,
      slice: (start, end = size) => read(Math.max(0, start), Math.max(0, Math.min(end, size) - start)),
    };
    const metadata = await parquetMetadataAsync(file).catch((cause: unknown) => {
      throw asBroken(path, 'its metadata', cause);
    });
    await readRowGroups(path, file, metadata, rows, options);
  } catch (cause) {
    throw cause instanceof Error ? asBroken(path, 'it', cause) : cause;
  } finally {
    await handle.close();
  }
}

async function expectParquet(
  path: string,
  size: number,
  read: (start: number, length: number) => Promise<ArrayBuffer>,
) {
  const magic = async (start: number) => Buffer.from(await read(start, MAGIC.length)).toString('latin1');
  if (size === 0) throw invalid(`Expected a Parquet file at ${path} but it is empty`);
  if (size < LEAST_BYTES || (await magic(0)) !== MAGIC) {
    const encrypted = size >= LEAST_BYTES && (await magic(0)) === ENCRYPTED_MAGIC;
    throw invalid(
      encrypted
        ? `Expected a Parquet file that is not encrypted at ${path}`
        : `Expected a Parquet file at ${path} but it does not start with ${MAGIC}`,
    );
  }
  if ((await magic(size - MAGIC.length)) !== MAGIC) {
    throw invalid(`Expected a whole Parquet file at ${path} but it does not end with ${MAGIC}: it may be cut short`);
  }
}

/** Looks through the footer before anything else does. */
async function expectMetadata(
  path: string,
  size: number,
  read: (start: number, length: number) => Promise<ArrayBuffer>,
): Promise<void> {
  const length = new DataView(await read(size - LEAST_BYTES + MAGIC.length, 4)).getUint32(0, true);
  if (length > size - LEAST_BYTES) {
    throw invalid(`Expected a Parquet file at ${path} but its metadata of ${length} bytes do not fit into it`);
  }
  const view = new DataView(await read(size - LEAST_BYTES + MAGIC.length - length, length));
  try {
    checkStruct(view, 0);
  } catch (cause) {
    throw asBroken(path, 'its metadata', cause);
  }
}

/** The number of rows of each row group; claims beyond what the file can hold are refused. */
function rowCounts(path: string, size: number, { row_groups }: FileMetaData): number[] {
  const counts = row_groups.map(({ num_rows }) => Number(num_rows));
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const sound = counts.every((count) => Number.isSafeInteger(count) && count >= 0);
  if (sound && rows <= FREE_ROWS + MOST_ROWS_A_BYTE * size) return counts;
  throw invalid(`Expected no more rows in ${path} than its ${size} bytes can hold but its metadata claim ${rows}`);
}

async function readRowGroups(
  path: string,
  file: AsyncBuffer,
  metadata: FileMetaData,
  rows: Rows,
  options: ReadOptions,
): Promise<void> {
  const tree = parquetSchema(metadata);
  const names = tree.children.map(({ element }) => element.name);
  const { text, pair, label } = chooseColumns(path, names, rows, options);
  for (const name of [text, pair, label]) {
    if (name !== undefined) expectPlain(path, name, tree.children[names.indexOf(name)]!, name !== label);
  }
  if (label !== undefined) rows.classNames = featureClassNames(metadata, label);

  const columns = [text, pair, label].filter((name) => name !== undefined);
  const size = file.byteLength;
  const counts = rowCounts(path, size, metadata);
  const isCompressed = metadata.row_groups.some((group) =>
    group.columns.some(({ meta_data }) => meta_data && meta_data.codec !== 'UNCOMPRESSED'),
  );
  const decompressors = isCompressed ? await loadDecompressors() : {};
  const pages = new ParquetPages(decompressors, (bytes) => expectRatio(path, size, bytes));
  // What was looked through is what is read, although the file may change in between.
  let held = { start: 0, end: 0, bytes: new ArrayBuffer(0) };
  const checked: AsyncBuffer = {
    byteLength: size,
    slice: (from, to = size) =>
      from >= held.start && to <= held.end
        ? held.bytes.slice(from - held.start, to - held.start)
        : file.slice(from, to),
  };
  const scan = await parquetScan({
    file: checked,
    metadata,
    columns,
    compressors: pages.compressors,
    parsers,
    useOffsetIndex: false,
  });
  const slice = new TimeSlice(options.signal);
  let start = 0;
  for (const [group, count] of counts.entries()) {
    const end = start + count;
    const readColumn = async (name: string) => {
      if (count === 0) return [];
      const isOptional = tree.children[names.indexOf(name)]!.element.repetition_type === 'OPTIONAL';
      const chunk = columnChunk(path, metadata, group, name, size);
      held = { ...chunk, bytes: await file.slice(chunk.start, chunk.end) };
      try {
        pages.check(new Uint8Array(held.bytes), chunk.metadata, count, isOptional);
      } catch (cause) {
        throw asBroken(path, `the column ${name}`, cause);
      }
      return readValues(path, scan, name, start, end);
    };
    const texts = await readColumn(text);
    const pairs = pair === undefined ? undefined : await readColumn(pair);
    const labels = label === undefined ? undefined : await readColumn(label);
    for (let row = start; row < end; row++) {
      rows.add(
        readText(path, row, text, texts[row - start]),
        labels === undefined ? null : readLabel(path, row, label!, labels[row - start]),
        row + 1,
        pairs === undefined ? undefined : readText(path, row, pair!, pairs[row - start]),
      );
      if (slice.isOver) await slice.next();
    }
    if (slice.isOver) await slice.next();
    start = end;
  }
}

/** Where a column of a row group is in the file. */
function columnChunk(
  path: string,
  metadata: FileMetaData,
  group: number,
  name: string,
  size: number,
): { start: number; end: number; metadata: ColumnMetadata } {
  const columns = metadata.row_groups[group]!.columns.filter(({ meta_data }) => meta_data?.path_in_schema[0] === name);
  const column = columns[0]?.meta_data;
  if (columns.length !== 1 || column === undefined || columns[0]!.file_path) {
    throw invalid(`Expected the column ${name} once in each row group of ${path}`);
  }
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  const end = start + Number(column.total_compressed_size);
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= size) {
    return { start, end, metadata: column };
  }
  throw invalid(`Expected the column ${name} inside ${path} but it is at ${start} to ${end} of ${size} bytes`);
}

async function readValues(
  path: string,
  scan: ParquetScan,
  column: string,
  rowStart: number,
  rowEnd: number,
): Promise<DecodedArray> {
  const values = await scan.readColumn({ column, rowStart, rowEnd }).catch((cause: unknown) => {
    throw asBroken(path, `the column ${column}`, cause);
  });
  if (values.length === rowEnd - rowStart) return values;
  throw invalid(`Expected ${rowEnd - rowStart} values of ${column} in ${path} but found ${values.length}`);
}

/** Texts and labels are plain values, not lists or structures. */
function expectPlain(path: string, column: string, { element, children }: SchemaTree, isText: boolean): void {
  const { type, repetition_type, logical_type, converted_type } = element;
  const found =
    children.length > 0 || repetition_type === 'REPEATED'
      ? 'nested'
      : `of type ${logical_type?.type ?? converted_type ?? type}`;
  const isString = type === 'BYTE_ARRAY' && !/JSON|BSON|DECIMAL|GEO|VARIANT/.test(found);
  const isInteger = (type === 'INT32' || type === 'INT64') && !/DATE|TIME|DECIMAL/.test(found);
  if (found !== 'nested' && (isString || (!isText && (isInteger || type === 'BOOLEAN')))) return;
  const expected = isText ? 'strings' : 'names, integers or booleans';
  throw invalid(`Expected ${expected} in the column ${column} of ${path} but it is ${found}`);
}

function readText(path: string, row: number, column: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw invalid(`Expected a string for ${column} in ${path}, row ${row + 1}, but found ${String(value)}`);
}

function readLabel(path: string, row: number, column: string, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' && value.trim() === '') {
    throw invalid(`Expected a label for ${column} in ${path}, row ${row + 1}, but found an empty one`);
  }
  return String(value);
}

/** Names of a column's classes, where the file was written by Hugging Face's `datasets`. */
function featureClassNames({ key_value_metadata }: FileMetaData, column: string): readonly string[] | undefined {
  const text = key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return undefined;
  try {
    const { info } = JSON.parse(text) as { info?: { features?: Record<string, { _type?: string; names?: unknown }> } };
    const feature = info?.features?.[column];
    return feature?._type === 'ClassLabel' ? classNames(feature.names) : undefined;
  } catch {
    // Metadata that others wrote under this key say nothing about classes.
    return undefined;
  }
}

/** What hyparquet threw, as an error that names the file. */
function asBroken(path: string, what: string, cause: unknown): BertuneError {
  if (cause instanceof BertuneError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const codec = /unsupported compression codec: (\S+)/.exec(message)?.[1];
  if (codec !== undefined) {
    return invalid(`Expected a known compression of ${what} in ${path} but found ${codec}`, cause);
  }
  const isText = cause instanceof Error && 'code' in cause && cause.code === 'ERR_ENCODING_INVALID_ENCODED_DATA';
  if (isText) return invalid(`Expected UTF-8 in ${what} of ${path} but found other bytes`, cause);
  return invalid(`Expected a Parquet file at ${path} but cannot read ${what}: ${message}`, cause);
}

function invalid(message: string, cause?: unknown): BertuneError {
  return new BertuneError('INVALID_DATA', message, cause === undefined ? {} : { cause });
}

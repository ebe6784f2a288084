import { open } from 'node:fs/promises';
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
import { compressors } from 'hyparquet-compressors';
import { BertuneError } from '../errors.js';
import { TimeSlice } from '../time-slice.js';
import { classNames } from './card.js';
import { chooseColumns } from './columns.js';
import type { Rows } from './rows.js';
import type { ReadOptions } from './types.js';

const MAGIC = 'PAR1';
const ENCRYPTED_MAGIC = 'PARE';
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
  const handle = await open(path).catch((cause: NodeJS.ErrnoException) => {
    const missing = cause.code === 'ENOENT' || cause.code === 'ENOTDIR';
    if (missing) throw new BertuneError('NOT_FOUND', `Expected a file at ${path} but there is none`, { cause });
    throw invalid(`Expected to read ${path} but got ${cause.code}`, cause);
  });
  try {
    const read = async (start: number, length: number): Promise<ArrayBuffer> => {
      const bytes = new Uint8Array(new ArrayBuffer(length));
      const { bytesRead } = await handle.read(bytes, 0, length, start);
      if (bytesRead < length) throw invalid(`Expected ${length} bytes at ${start} of ${path} but it ends before`);
      return bytes.buffer;
    };
    const { size } = await handle.stat().then(async (status) => {
      if (status.isDirectory()) throw invalid(`Expected to read ${path} but got EISDIR`);
      return status;
    });
    await expectParquet(path, size, read);
    const file: AsyncBuffer = {
      byteLength: size,
      slice: (start, end = size) => read(Math.max(0, start), Math.max(0, Math.min(end, size) - start)),
    };
    const metadata = await parquetMetadataAsync(file).catch((cause: unknown) => {
      throw asBroken(path, 'its metadata', cause);
    });
    await readRowGroups(path, file, metadata, rows, options);
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
  if (label !== undefined) rows.classNames ??= featureClassNames(metadata, label);

  const columns = [text, pair, label].filter((name) => name !== undefined);
  const scan = await parquetScan({ file, metadata, columns, compressors, parsers, useOffsetIndex: false });
  const readColumn = (name: string, rowStart: number, rowEnd: number) => readValues(path, scan, name, rowStart, rowEnd);
  const slice = new TimeSlice(options.signal);
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    const texts = await readColumn(text, start, end);
    const pairs = pair === undefined ? undefined : await readColumn(pair, start, end);
    const labels = label === undefined ? undefined : await readColumn(label, start, end);
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

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
import { isObject } from '../files/json.js';
import { TimeSlice } from '../time-slice.js';
import { classNames } from './card.js';
import { KIND_BYTES, otherKind } from './file-kind.js';
import { expectRatio } from './limits.js';
import { type ColumnMetadata, type Levels, loadDecompressors, ParquetPages } from './parquet-pages.js';
import { columnOf, type DataRecord, type RecordOptions, valueAt } from './records.js';
import { checkStruct } from './thrift.js';

const MAGIC = 'PAR1';
const ENCRYPTED_MAGIC = 'PARE';
/** Rows take no bytes where all are the same: so many are believed, and so many more for each byte of the file. */
const FREE_ROWS = 1_000_000;
const MOST_ROWS_A_BYTE = 64;

/** Both magics and the length of the metadata. */
const LEAST_BYTES = 12;

/** How many records are handed over at a time. */
const RECORDS = 1000;

const utf8 = new TextDecoder('utf-8', { fatal: true });
const parsers = { stringFromBytes };

/** Bytes that are no text, such as a picture's, stay bytes. */
function stringFromBytes(bytes: Uint8Array | undefined): unknown {
  try {
    return bytes && utf8.decode(bytes);
  } catch {
    return bytes?.slice();
  }
}

/**
 * Reads a Parquet file: of each row group, one after the other, the columns that are used. Names of the classes are taken
 * from the `huggingface` key of the file's metadata.
 *
 * @param path the file
 * @param options which columns
 * @throws BertuneError NOT_FOUND: no such file · INVALID_DATA: no whole Parquet file, one that is encrypted or compressed in
 *   a way that is not known · ABORTED
 */
export async function* parquetRecords(path: string, options: RecordOptions): AsyncGenerator<readonly DataRecord[]> {
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
    yield* readRowGroups(path, file, metadata, options);
  } catch (cause) {
    throw cause instanceof Error ? asBroken(path, 'it', cause) : cause;
  } finally {
    await handle.close();
  }
}

/** The first bytes of a file of `size`, and no more than are looked at. */
async function headOf(
  size: number,
  read: (start: number, length: number) => Promise<ArrayBuffer>,
): Promise<Uint8Array> {
  return new Uint8Array(await read(0, Math.min(size, KIND_BYTES)));
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
        : `Expected a Parquet file at ${path} but it does not start with ${MAGIC}${otherKind(await headOf(size, read))}`,
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

function mostRows(size: number): number {
  return FREE_ROWS + MOST_ROWS_A_BYTE * size;
}

/** The number of rows of each row group; claims beyond what the file can hold are refused. */
function rowCounts(path: string, size: number, { row_groups }: FileMetaData): number[] {
  const counts = row_groups.map(({ num_rows }) => Number(num_rows));
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const sound = counts.every((count) => Number.isSafeInteger(count) && count >= 0);
  if (sound && rows <= mostRows(size)) return counts;
  throw invalid(`Expected no more rows in ${path} than its ${size} bytes can hold but its metadata claim ${rows}`);
}

async function* readRowGroups(
  path: string,
  file: AsyncBuffer,
  metadata: FileMetaData,
  options: RecordOptions,
): AsyncGenerator<readonly DataRecord[]> {
  const tree = parquetSchema(metadata);
  const names = tree.children.map(({ element }) => element.name);
  const wanted = options.columns?.({
    names,
    nested: tree.children.flatMap((column) => (column.children.length > 0 ? plainPaths(column) : [])),
    classNames: (column) => featureClassNames(metadata, column),
  });
  const used = new Set(wanted?.map((column) => columnOf(column, names)));
  const columns = wanted === undefined ? names : names.filter((name) => used.has(name));

  const size = file.byteLength;
  const counts = rowCounts(path, size, metadata);
  const isCompressed = metadata.row_groups.some((group) =>
    group.columns.some(({ meta_data }) => meta_data && meta_data.codec !== 'UNCOMPRESSED'),
  );
  const decompressors = isCompressed ? await loadDecompressors() : {};
  const pages = new ParquetPages(decompressors, (bytes) => expectRatio(path, size, bytes), mostRows(size));
  // What was looked through is what is read, although the file may change in between.
  let held: { start: number; end: number; bytes: ArrayBuffer }[] = [];
  const checked: AsyncBuffer = {
    byteLength: size,
    slice: (from, to = size) => {
      const chunk = held.find(({ start, end }) => from >= start && to <= end);
      return chunk ? chunk.bytes.slice(from - chunk.start, to - chunk.start) : file.slice(from, to);
    },
  };
  const scan = await parquetScan({
    file: checked,
    metadata,
    columns,
    compressors: pages.compressors,
    parsers: parsers as NonNullable<Parameters<typeof parquetScan>[0]['parsers']>,
    useOffsetIndex: false,
  });
  const slice = new TimeSlice(options.signal);
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const readColumn = async (group: number, name: string, start: number, end: number) => {
    const node = tree.children[names.indexOf(name)]!;
    held = [];
    for (const chunk of columnChunks(path, metadata, group, name, leafPaths(node).length, size)) {
      const bytes = await file.slice(chunk.start, chunk.end);
      held.push({ ...chunk, bytes });
      try {
        pages.check(new Uint8Array(bytes), chunk.metadata, end - start, levelsOf(tree, chunk.metadata));
      } catch (cause) {
        throw asBroken(path, `the column ${name}`, cause);
      }
      if (slice.isOver) await slice.next();
    }
    const values = await readValues(path, scan, name, start, end);
    pages.clear();
    return values;
  };
  let start = 0;
  for (const [group, count] of counts.entries()) {
    const end = start + count;
    const values: DecodedArray[] = [];
    for (const name of count === 0 ? [] : columns) values.push(await readColumn(group, name, start, end));
    const part = { columns, values };
    for (let from = 0; from < count; from += RECORDS) {
      const length = Math.min(RECORDS, count - from);
      const first = start + from + 1;
      yield Array.from({ length }, (_, i) => new ParquetRecord(first + i, part, from + i));
      options.onProgress?.((start + from + length) / rows);
      if (slice.isOver) await slice.next();
    }
    if (slice.isOver) await slice.next();
    start = end;
  }
}

/** The decoded columns (C) of a row group. */
interface RowGroup {
  readonly columns: readonly string[];
  readonly values: readonly DecodedArray[];
}

class ParquetRecord implements DataRecord {
  constructor(
    readonly place: number,
    private readonly group: RowGroup,
    private readonly index: number,
  ) {}

  get columns(): readonly string[] {
    return this.group.columns;
  }

  get values(): readonly unknown[] {
    return this.group.values.map((column) => column[this.index]);
  }

  get(column: string): unknown {
    const name = columnOf(column, this.group.columns);
    if (name === undefined) return undefined;
    const value: unknown = this.group.values[this.group.columns.indexOf(name)]![this.index];
    if (name === column) return value;
    return isObject(value) ? valueAt(value, column.slice(name.length + 1)) : undefined;
  }
}

/** The paths of what occurs once in a column, not in lists. */
function plainPaths({ path, element, children }: SchemaTree): string[] {
  if (element.repetition_type === 'REPEATED') return [];
  return children.length === 0 ? [path.join('.')] : children.flatMap(plainPaths);
}

/** The paths of a column's values: its own name, or those of what it holds. */
function leafPaths({ path, children }: SchemaTree): string[] {
  return children.length === 0 ? [path.join('.')] : children.flatMap(leafPaths);
}

function levelsOf(tree: SchemaTree, { path_in_schema: path }: ColumnMetadata): Levels {
  let [node, repetition, definition]: [SchemaTree | undefined, number, number] = [tree, 0, 0];
  for (const name of path) {
    node = node?.children.find(({ element }) => element.name === name);
    if (node?.element.repetition_type === 'REPEATED') repetition++;
    if (node?.element.repetition_type !== 'REQUIRED') definition++;
  }
  return { repetition, definition, isNested: path.length > 1 || repetition > 0 };
}

/** Where the values of a column of a row group are in the file. */
function columnChunks(
  path: string,
  metadata: FileMetaData,
  group: number,
  name: string,
  leaves: number,
  size: number,
): { start: number; end: number; metadata: ColumnMetadata }[] {
  const columns = metadata.row_groups[group]!.columns.filter(({ meta_data }) => meta_data?.path_in_schema[0] === name);
  if (columns.length !== leaves || columns.some(({ file_path }) => file_path)) {
    throw invalid(`Expected the column ${name} once in each row group of ${path}`);
  }
  return columns.map(({ meta_data }) => {
    const column = meta_data!;
    const start = Number(column.dictionary_page_offset || column.data_page_offset);
    const end = start + Number(column.total_compressed_size);
    if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= size) {
      return { start, end, metadata: column };
    }
    throw invalid(`Expected the column ${name} inside ${path} but it is at ${start} to ${end} of ${size} bytes`);
  });
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

/** A column as `datasets` describes it. */
interface Feature {
  readonly _type?: string;
  readonly names?: unknown;
  /** Of the items of a list. */
  readonly feature?: Feature;
}

/** Names of a column's classes, where the file was written by Hugging Face's `datasets`. */
function featureClassNames({ key_value_metadata }: FileMetaData, column: string): readonly string[] | undefined {
  const text = key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return undefined;
  try {
    const { info } = JSON.parse(text) as { info?: { features?: Record<string, Feature> } };
    const feature: Feature | readonly Feature[] | undefined = info?.features?.[column];
    // A list is written as a feature around another, or by older versions as an array of it.
    const inner = Array.isArray(feature) ? feature[0] : (feature?.feature ?? feature);
    return inner?._type === 'ClassLabel' ? classNames(inner.names) : undefined;
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
  return invalid(`Expected a Parquet file at ${path} but cannot read ${what}: ${message}`, cause);
}

function invalid(message: string, cause?: unknown): BertuneError {
  return new BertuneError('INVALID_DATA', message, cause === undefined ? {} : { cause });
}

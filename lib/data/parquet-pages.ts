import type { Compressors, FileMetaData, PageHeader } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { expectAddressSpace, WEBASSEMBLY_MEMORY } from '../address-space.js';
import { checkStruct } from './thrift.js';

/*
 * hyparquet believes what pages say of themselves: a run of two thousand million values in a page of ten is written out
 * until memory is full. Here pages are looked through before it sees them. Every error is an Error that says what is
 * wrong, for the caller to name the file.
 */

/** A column of a row group, as the metadata have it. */
export type ColumnMetadata = NonNullable<FileMetaData['row_groups'][number]['columns'][number]['meta_data']>;

const DICTIONARY_ENCODINGS: readonly unknown[] = ['PLAIN_DICTIONARY', 'RLE_DICTIONARY'];
const MOST_BLOCK = 2 ** 16;

/** How often a column's values may repeat in a row, and at how many levels they may be missing. */
export interface Levels {
  readonly repetition: number;
  readonly definition: number;
  /** Whether it is in another column, or repeats: then hyparquet reads all pages, whatever the number of rows. */
  readonly isNested: boolean;
}

/** A page before and after it was unpacked. */
interface Unpacked {
  readonly packed: Uint8Array;
  readonly bytes: Uint8Array;
}

/** Looks through the pages of columns, and hands the unpacked ones to hyparquet. */
export class ParquetPages {
  /** For hyparquet: gives the pages that were looked through, mostly in their order. */
  readonly compressors: Compressors;
  readonly #decompressors: Compressors;
  readonly #expectBytes: (bytes: number) => void;
  readonly #mostValues: number;
  #unpacked: Unpacked[] = [];
  #bytes = 0;
  #values = 0;

  /**
   * @param decompressors of the codecs in the file
   * @param expectBytes throws where all pages so far unpack to too many bytes, before memory is taken for them
   * @param mostValues that lists may hold, all together
   */
  constructor(decompressors: Compressors, expectBytes: (bytes: number) => void, mostValues: number) {
    this.#decompressors = decompressors;
    this.#expectBytes = expectBytes;
    this.#mostValues = mostValues;
    const next = (packed: Uint8Array, length: number) => {
      const at = this.#unpacked.findIndex((page) => page.bytes.length === length && isSame(page.packed, packed));
      const [page] = at < 0 ? [] : this.#unpacked.splice(at, 1);
      if (page === undefined) throw new Error('its pages are not those that were looked through');
      return page.bytes;
    };
    this.compressors = Object.fromEntries(Object.keys(decompressors).map((codec) => [codec, next]));
  }

  /** Forgets the columns that were looked through, once they are decoded. */
  clear(): void {
    this.#unpacked = [];
  }

  /**
   * Looks through the pages of a column.
   *
   * @param chunk its bytes
   * @param rows of the row group
   */
  check(chunk: Uint8Array, { codec, type }: ColumnMetadata, rows: number, levels: Levels): void {
    const view = viewOf(chunk);
    const reader = { view, offset: 0 };
    for (let seen = 0; (seen < rows || levels.isNested) && reader.offset < view.byteLength - 1; ) {
      checkStruct(view, reader.offset);
      const header = parquetHeader(reader);
      const size = header.compressed_page_size;
      if (!isCount(size) || size > view.byteLength - reader.offset) throw new Error('a page reaches beyond its column');
      const page = chunk.subarray(reader.offset, reader.offset + size);
      const most = levels.repetition === 0 ? rows - seen : this.#mostValues - this.#values;
      const values = this.#checkPage(page, header, codec, type, most, levels);
      seen += values;
      if (levels.repetition > 0) this.#values += values;
      reader.offset += size;
    }
  }

  /** @returns the number of values in it, null ones included */
  #checkPage(
    page: Uint8Array,
    header: PageHeader,
    codec: string,
    type: string,
    most: number,
    { repetition, definition }: Levels,
  ): number {
    const { data_page_header: first, data_page_header_v2: second, dictionary_page_header: dictionary } = header;
    const length = header.uncompressed_page_size;
    if (header.type === 'DICTIONARY_PAGE' && dictionary) {
      const bytes = this.#unpack(page, length, codec);
      if (!isCount(dictionary.num_values) || dictionary.num_values > bytes.length) {
        throw new Error('a dictionary has more values than bytes');
      }
      return 0;
    }
    const values = (first ?? second)?.num_values;
    if (!isCount(values) || values > most) throw new Error(`a page has ${values} values where ${most} are left`);
    if (header.type === 'DATA_PAGE' && first) {
      const bytes = this.#unpack(page, length, codec);
      const view = viewOf(bytes);
      let at = 0;
      let there = values;
      if (repetition > 0) {
        checkRuns(view, 4, bitWidth(repetition), values);
        at = 4 + view.getUint32(0, true);
      }
      if (definition > 0) {
        there = checkRuns(view, at + 4, bitWidth(definition), values, definition);
        at += 4 + view.getUint32(at, true);
      }
      checkValues(view, at, first.encoding, type, there, type === 'BOOLEAN');
      return values;
    }
    if (header.type !== 'DATA_PAGE_V2' || !second) throw new Error('it has a page of an unknown type');
    const { num_nulls: nulls, num_rows: rows } = second;
    const lengths = [second.repetition_levels_byte_length, second.definition_levels_byte_length] as const;
    const [before, inside] = lengths;
    const fits = lengths.every(isCount) && before + inside <= page.length && (repetition > 0 || before === 0);
    const sound = fits && (repetition > 0 ? isCount(rows) && rows <= values : rows === values);
    if (!sound || !isCount(nulls) || nulls > values) throw new Error('a page has levels that do not fit');
    if (before > 0) checkRuns(viewOf(page), 0, bitWidth(repetition), values);
    if (definition > 0 && inside > 0) checkRuns(viewOf(page), before, bitWidth(definition), values);
    const rest = page.subarray(before + inside);
    const bytes = second.is_compressed === false ? rest : this.#unpack(rest, length - before - inside, codec);
    checkValues(viewOf(bytes), 0, second.encoding, type, values - nulls, true);
    return values;
  }

  #unpack(page: Uint8Array, length: number, codec: string): Uint8Array {
    if (codec === 'UNCOMPRESSED') return page;
    const decompress = this.#decompressors[codec as keyof Compressors];
    if (decompress === undefined) throw new Error(`parquet unsupported compression codec: ${codec}`);
    if (!isCount(length)) throw new Error('a page has no length');
    this.#bytes += length;
    this.#expectBytes(this.#bytes);
    const bytes = decompress(page, length);
    if (bytes.length !== length) throw new Error(`a page unpacks to ${bytes.length} bytes, not ${length}`);
    this.#unpacked.push({ packed: page, bytes });
    return bytes;
  }
}

/** @param hasLength whether runs of booleans come without their length in front (in pages of version 2 they do not) */
function checkValues(
  view: DataView,
  at: number,
  encoding: string | undefined,
  type: string,
  count: number,
  hasLength: boolean,
): void {
  if (count === 0) return;
  if (DICTIONARY_ENCODINGS.includes(encoding)) {
    const width = view.getUint8(at);
    if (width > 32) throw new Error(`indices of ${width} bits`);
    if (width > 0) checkRuns(view, at + 1, width, count);
  } else if (encoding === 'RLE') {
    if (type !== 'BOOLEAN') throw new Error('runs of values that are no booleans');
    checkRuns(view, at + (hasLength ? 4 : 0), 1, count);
  } else if (encoding === 'DELTA_BINARY_PACKED') checkDelta(view, at, count);
  else if (encoding === 'DELTA_LENGTH_BYTE_ARRAY') checkDelta(view, at, count);
  else if (encoding === 'DELTA_BYTE_ARRAY') {
    const reader = { view, offset: at };
    const [prefixes, suffixes] = [new Int32Array(count), new Int32Array(count)];
    for (const lengths of [prefixes, suffixes]) {
      checkDelta(view, reader.offset, count);
      deltaBinaryUnpack(reader, count, lengths);
    }
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += prefixes[i]! + suffixes[i]!;
    // Every value may repeat all of the one before.
    if (bytes > 2 ** 24 + 100 * view.byteLength) throw new Error('values that repeat each other without end');
  }
}

/**
 * Looks through runs of equal values and of packed ones.
 *
 * @param width of a value in bits
 * @param wanted a value to count, of a byte at most. Defaults to none
 * @returns how many of the values are `wanted`
 */
function checkRuns(view: DataView, start: number, width: number, count: number, wanted?: number): number {
  let at = start;
  let found = 0;
  for (let seen = 0; seen < count; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      if (shift > 28) throw new Error('a run of a length that does not end');
      const byte = view.getUint8(at++);
      header += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const isPacked = header % 2 === 1;
    const length = Math.floor(header / 2);
    if (isPacked) {
      // The last group is padded, by some writers to a whole page's worth of 64 groups.
      if (length * 8 > count - seen + 512) throw new Error('more packed values than rows');
      if (wanted !== undefined) found += countPacked(view, at, Math.min(length * 8, count - seen), width, wanted);
      at += length * width;
      seen += length * 8;
    } else {
      if (length > count - seen) throw new Error('a longer run than rows');
      if (wanted !== undefined && view.getUint8(at) === wanted) found += length;
      at += Math.ceil(width / 8);
      seen += length;
    }
  }
  return found;
}

/** How many of some packed values are the one that is looked for. */
function countPacked(view: DataView, at: number, count: number, width: number, wanted: number): number {
  let found = 0;
  for (let i = 0; i < count; i++) {
    let value = 0;
    for (let bit = 0; bit < width; bit++) {
      const place = i * width + bit;
      value |= ((view.getUint8(at + (place >> 3)) >> (place & 7)) & 1) << bit;
    }
    if (value === wanted) found++;
  }
  return found;
}

/** Checks the head of deltas: sizes of blocks and parts of blocks, and how many values follow. */
function checkDelta(view: DataView, start: number, count: number): void {
  let at = start;
  const next = () => {
    let value = 0;
    for (let shift = 0; shift <= 28; shift += 7) {
      const byte = view.getUint8(at++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('deltas of a length that does not end');
  };
  const [block, parts, values] = [next(), next(), next()];
  const sound = block > 0 && block <= MOST_BLOCK && parts > 0 && block % parts === 0 && values === count;
  if (!sound) throw new Error(`${values} deltas in blocks of ${block} in ${parts} parts, where ${count} are needed`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The bits that values up to `most` take. */
function bitWidth(most: number): number {
  return 32 - Math.clz32(most);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

let loaded: Compressors | undefined;

/**
 * Loads what unpacks the compressed pages of Parquet files. Only a file that needs it should ask: Snappy's WebAssembly
 * reserves some 10 GiB of address space, more than a process may be allowed.
 *
 * @returns as hyparquet-compressors has them, but that zstd does not believe its own header about the length
 * @throws BertuneError OUT_OF_MEMORY
 */
export async function loadDecompressors(): Promise<Compressors> {
  if (loaded) return loaded;
  expectAddressSpace(WEBASSEMBLY_MEMORY, 'unpack compressed Parquet');
  const { compressors, decompressZstd } = await import('hyparquet-compressors');
  loaded = { ...compressors, ZSTD: (input, length) => decompressZstd(input, new Uint8Array(length)) };
  return loaded;
}

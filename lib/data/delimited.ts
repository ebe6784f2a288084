import { finished } from 'node:stream/promises';
import { CsvError, type InfoRecord, Parser } from 'csv-parse';
import { BertuneError } from '../errors.js';
import { TimeSlice } from '../time-slice.js';
import { expectRow, MOST_HEADER_CHARACTERS, MOST_ROW_CHARACTERS } from './limits.js';
import type { DataRecord, RecordOptions } from './records.js';
import { readTextFile } from './text-file.js';

const DELIMITERS = [',', ';', '\t'];

/** What is parsed between two looks at the clock; about a millisecond's work. */
const PIECE_CHARACTERS = 2048;

/** What to do where quotes are no quotes. */
export const QUOTING_ADVICE = 'where quotes are characters of the texts, read it with quoting: none';

/** A record as the parser hands it over with its `raw` option. */
interface RawRecord {
  record: string[];
  raw: string;
}

/**
 * Reads a file of delimited columns (.csv, .tsv, .txt) with a header line, quoted as RFC 4180 says unless `quoting` is
 * 'none'. Quotes inside an unquoted field are ordinary characters; empty lines are skipped; lines end with LF or CRLF.
 *
 * @param path the file
 * @param options the delimiter, where the header does not show it; what quotes mean
 * @throws NOT_FOUND: no such file · INVALID_DATA: not in its encoding, an open quote, quotes that make one row of what looks
 *   like several, a row with too few or too many columns, no header; each with its line · ABORTED
 */
export async function* delimitedRecords(path: string, options: RecordOptions): AsyncGenerator<readonly DataRecord[]> {
  const slice = new TimeSlice(options.signal);
  let records: DelimitedRecords | undefined;
  let header = '';
  for await (const chunk of readTextFile(path, options)) {
    let text = chunk;
    if (records === undefined) {
      header += chunk;
      if (!/[\r\n]/.test(chunk)) {
        expectRow(path, 1, header.length, MOST_HEADER_CHARACTERS);
        continue;
      }
      records = new DelimitedRecords(path, header, options);
      text = header;
    }
    for (let start = 0; start < text.length; start += PIECE_CHARACTERS) {
      records.write(text.slice(start, start + PIECE_CHARACTERS));
      if (!slice.isOver) continue;
      yield records.take();
      await slice.next();
    }
  }
  if (records === undefined) {
    records = new DelimitedRecords(path, header, options);
    records.write(header);
  }
  await records.end();
  yield records.take();
}

/** Makes records of what csv-parse finds, and turns its complaints into ours. */
class DelimitedRecords {
  private readonly parser: Parser;
  private error: unknown;
  private header: Header | undefined;
  private records: DataRecord[] = [];
  /** Lines of the records so far, without the empty lines between them. */
  private lines = 0;
  private readonly delimiter: string;

  constructor(
    private readonly path: string,
    head: string,
    private readonly options: RecordOptions,
  ) {
    this.delimiter = options.delimiter ?? sniffDelimiter(path, head);
    this.parser = new Parser({
      delimiter: this.delimiter,
      quote: options.quoting === 'none' ? null : '"',
      record_delimiter: ['\r\n', '\n'],
      relax_quotes: true,
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: MOST_ROW_CHARACTERS,
      raw: true,
      // Records are taken here, and null keeps them out of the stream, so that nothing waits to be read.
      on_record: (record: unknown, info: InfoRecord) => {
        this.add(record as RawRecord, info.empty_lines);
        return null;
      },
    });
    this.parser.on('error', (error) => {
      this.error ??= error;
    });
    this.parser.resume();
  }

  /** Parses a piece of the file. Throws what was wrong with it. */
  write(piece: string): void {
    this.parser.write(piece);
    if (this.error !== undefined) throw this.explain(this.error);
  }

  /** The records since the last time. */
  take(): readonly DataRecord[] {
    const taken = this.records;
    this.records = [];
    return taken;
  }

  /** Ends the file, once its last piece was written. */
  async end(): Promise<void> {
    this.parser.end();
    await finished(this.parser).catch((error: unknown) => {
      this.error ??= error;
    });
    if (this.error !== undefined) throw this.explain(this.error);
    if (this.header === undefined) throw this.invalid('a header line', 'nothing', 1);
  }

  private add({ record, raw }: RawRecord, emptyLines: number): void {
    const line = this.lines + emptyLines + 1;
    let newlines = 0;
    for (const field of record) {
      const own = countNewlines(field);
      newlines += own;
      // A quote that opens a field but closes before its end is kept as text. When it swallowed line ends on the way,
      // it is far more likely that a quote was forgotten.
      if (own > 0 && field.startsWith('"') && !raw.includes(quoted(field))) {
        const found = `text after it, or none (${QUOTING_ADVICE})`;
        throw this.invalid('a closing quote at the end of a field', found, line);
      }
    }
    this.lines += 1 + newlines;
    if (this.header === undefined) this.start(record);
    else this.addRow(this.header, record, line, newlines > 0 ? raw : undefined);
  }

  private start(fields: readonly string[]): void {
    this.header = new Header(fields.map((name) => name.trim()));
    this.options.columns?.({ names: this.header.names, nested: [] });
  }

  /** @param raw the row as written, where it has several lines */
  private addRow(header: Header, fields: readonly string[], line: number, raw: string | undefined): void {
    const width = header.names.length;
    if (fields.length !== width) {
      this.refuse(fields.length, width, line);
      return;
    }
    const unquoted = raw === undefined ? undefined : this.unquoted(raw, width);
    // A tab tells a row by itself. Texts hold commas: there whoever knows the labels has to tell.
    if (unquoted !== undefined && this.delimiter === '\t') throw severalRows(this.path, line, unquoted.length);
    this.records.push(new DelimitedRecord(line, header, fields, unquoted));
  }

  private refuse(found: number, width: number, line: number): void {
    const isLong = found > width;
    const advice = isLong ? ' (a text that holds the delimiter must be in quotes)' : '';
    const error = this.invalid(`${width} columns`, `${found}${advice}`, line);
    if (this.options.onInvalid === undefined) throw error;
    this.options.onInvalid({ reason: `with too ${isLong ? 'many' : 'few'} columns`, place: line, error });
  }

  /**
   * Quotes may close properly and still be characters of the texts: of one text that starts with a quote and of a later
   * one that ends with one. Then every line of the row has all columns.
   */
  private unquoted(raw: string, width: number): readonly (readonly string[])[] | undefined {
    if (this.options.quoting === 'standard' || width < 2) return undefined;
    const lines = raw.split(/\r?\n/).filter((content) => content !== '');
    const rows = lines.map((content) => content.split(this.delimiter));
    return rows.every(({ length }) => length === width) ? rows : undefined;
  }

  private explain(error: unknown): unknown {
    if (!(error instanceof CsvError)) return error;
    const line = this.lines + this.parser.info.empty_lines + 1;
    if (error.code === 'CSV_MAX_RECORD_SIZE') {
      return this.invalid(`a row of at most ${MOST_ROW_CHARACTERS} characters`, 'a longer one', line, error);
    }
    const found = error.code === 'CSV_QUOTE_NOT_CLOSED' ? 'the end of the file' : error.message;
    return this.invalid('a closing quote for a field that opens with one', `${found} (${QUOTING_ADVICE})`, line, error);
  }

  private invalid(expected: string, found: string, line: number, cause?: unknown): BertuneError {
    return new BertuneError('INVALID_DATA', `Expected ${expected} in ${this.path}, line ${line}, but found ${found}`, {
      cause,
    });
  }
}

/** The error for a row in quotes that is several without them. */
export function severalRows(path: string, line: number, rows: number): BertuneError {
  const advice = `${QUOTING_ADVICE}; where it is one row, with quoting: standard`;
  return new BertuneError(
    'INVALID_DATA',
    `Expected one row in quotes in ${path}, line ${line}, but found what looks like ${rows} rows whose texts hold them ` +
      `(${advice})`,
  );
}

/** The names of the columns, and where each is: the first of that name. */
class Header {
  private readonly indices = new Map<string, number>();

  constructor(readonly names: readonly string[]) {
    for (const [index, name] of names.entries()) if (!this.indices.has(name)) this.indices.set(name, index);
  }

  indexOf(name: string): number {
    return this.indices.get(name) ?? -1;
  }
}

class DelimitedRecord implements DataRecord {
  constructor(
    readonly place: number,
    private readonly header: Header,
    readonly values: readonly string[],
    readonly unquoted: readonly (readonly string[])[] | undefined,
  ) {}

  get columns(): readonly string[] {
    return this.header.names;
  }

  get(column: string): string | undefined {
    return this.values[this.header.indexOf(column)];
  }
}

/** The delimiter that the header line holds most of; where it holds none, what the file's name suggests. */
function sniffDelimiter(path: string, text: string): string {
  const header = text.split(/\r?\n/, 1)[0]!.replace(/"[^"]*"/g, '');
  const count = (delimiter: string) => header.split(delimiter).length - 1;
  const [best] = [...DELIMITERS].sort((a, b) => count(b) - count(a));
  if (count(best!) > 0) return best!;
  return /\.tsv(\.gz)?$/i.test(path) ? '\t' : ',';
}

/** A field as it stands in a file, in quotes. */
function quoted(field: string): string {
  return `"${field.replaceAll('"', '""')}"`;
}

function countNewlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

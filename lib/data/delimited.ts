import { finished } from 'node:stream/promises';
import { CsvError, type InfoRecord, Parser } from 'csv-parse';
import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { TimeSlice } from '../time-slice.js';
import { expectRow, MOST_HEADER_CHARACTERS, MOST_ROW_CHARACTERS } from './limits.js';
import type { DataRecord, RecordOptions } from './records.js';
import { readTextFile } from './text-file.js';

const DELIMITERS = [',', ';', '\t', '|'];

/** How many records show what columns without names are. */
const SAMPLED_RECORDS = 1000;

/** How many lines show what the delimiter is. */
const SNIFFED_LINES = 20;

/** The line in front of the header in which Excel is told the delimiter. */
const EXCEL_DELIMITER = /^"?sep=([^"\r\n])"?(\r\n|\n|\r)/i;

/** What is parsed between two looks at the clock; about a millisecond's work. */
const PIECE_CHARACTERS = 2048;

/** What to do where quotes are no quotes. */
export const quotingAdvice = () =>
  `where quotes are characters of the texts, read it with ${option('quoting', 'none')}`;

/** A record as the parser hands it over with its `raw` option. */
interface RawRecord {
  record: string[];
  raw: string;
}

/**
 * Reads a file of delimited columns (.csv, .tsv, .txt), quoted as RFC 4180 says unless `quoting` is 'none'. Quotes inside an
 * unquoted field are ordinary characters. Lines end with LF or CRLF, or all with CR; empty ones, rows of nothing but
 * delimiters, and empty fields beyond the last column are skipped. A first line such as `sep=;` says the delimiter.
 *
 * @param path the file
 * @param options whether there is a header line; the delimiter, where that does not show it; what quotes mean
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
      text = header.slice(records.start);
    }
    for (let start = 0, end = 0; start < text.length; start = end) {
      end = start + PIECE_CHARACTERS;
      // The parser takes bytes, in which half of a surrogate pair would be lost.
      if (text.charCodeAt(end - 1) >= 0xd800 && text.charCodeAt(end - 1) < 0xdc00) end++;
      records.write(text.slice(start, end));
      if (!slice.isOver) continue;
      yield records.take();
      await slice.next();
    }
  }
  if (records === undefined) {
    records = new DelimitedRecords(path, header, options);
    records.write(header.slice(records.start));
  }
  await records.end();
  yield records.take();
}

/** Makes records of what csv-parse finds, and turns its complaints into ours. */
class DelimitedRecords {
  /** Where the rows start in the file's head. */
  readonly start: number;
  private readonly parser: Parser;
  private error: unknown;
  private header: Header | undefined;
  private records: DataRecord[] = [];
  /** Whether the file was read to its end. */
  private isWhole = false;
  /** Lines of the records so far, without the empty lines between them. */
  private lines = 0;
  private readonly delimiter: string;
  private readonly lineEnd: '\n' | '\r';

  /** @param head the file's first piece, with its first line */
  constructor(
    private readonly path: string,
    head: string,
    private readonly options: RecordOptions,
  ) {
    const [line = '', excelDelimiter] = EXCEL_DELIMITER.exec(head) ?? [];
    this.start = line.length;
    this.lines = line === '' ? 0 : 1;
    // A text may hold the other: what ends most lines ends all.
    this.lineEnd = count(head.replaceAll('\r\n', '\n'), '\r') > count(head, '\n') ? '\r' : '\n';
    this.delimiter = options.delimiter ?? excelDelimiter ?? this.sniffDelimiter(head);
    this.parser = new Parser({
      delimiter: this.delimiter,
      quote: options.quoting === 'none' ? null : '"',
      record_delimiter: this.lineEnd === '\r' ? '\r' : ['\r\n', '\n'],
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

  /** The records since the last time; none as long as columns without names are told by too few of them. */
  take(): readonly DataRecord[] {
    const taken = this.records;
    if (this.header !== undefined && !this.header.isKnown) {
      // What they are must not depend on how much was read by now.
      if (taken.length < SAMPLED_RECORDS && !this.isWhole) return [];
      this.tellColumns(this.header, taken.slice(0, SAMPLED_RECORDS));
    }
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
    this.isWhole = true;
  }

  private add({ record, raw }: RawRecord, emptyLines: number): void {
    const line = this.lines + emptyLines + 1;
    let newlines = 0;
    for (const field of record) {
      const own = count(field, this.lineEnd);
      newlines += own;
      // A quote that opens a field but closes before its end is kept as text. When it swallowed line ends on the way,
      // it is far more likely that a quote was forgotten.
      if (own > 0 && field.startsWith('"') && !raw.includes(quoted(field))) {
        const found = `text after it, or none (${quotingAdvice()})`;
        throw this.invalid('a closing quote at the end of a field', found, line);
      }
    }
    this.lines += 1 + newlines;
    // Excel writes delimiters for rows that were once used.
    if (record.length > 1 && record.every((field) => field.trim() === '')) return;
    if (this.header !== undefined) this.addRow(this.header, record, line, newlines > 0 ? raw : undefined);
    else if (this.options.header !== false) {
      this.header = new Header(record.map((name) => name.trim()));
      this.tellColumns(this.header);
    } else {
      this.header = new Header(record.map((_, index) => String(index + 1)));
      this.addRow(this.header, record, line, newlines > 0 ? raw : undefined);
    }
  }

  /** @param sample the first records, where columns have no names */
  private tellColumns(header: Header, sample?: readonly DataRecord[]): void {
    header.isKnown = true;
    const { names } = header;
    this.options.columns?.({ names, nested: [], isHeader: sample === undefined, ...(sample && { sample }) });
  }

  /** @param raw the row as written, where it has several lines */
  private addRow(header: Header, fields: readonly string[], line: number, raw: string | undefined): void {
    const width = header.names.length;
    if (!header.fits(fields)) {
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
    const lines = raw.split(this.lineEnd === '\r' ? '\r' : /\r?\n/).filter((content) => content !== '');
    const rows = lines.map((content) => content.split(this.delimiter));
    return rows.every(({ length }) => length === width) ? rows : undefined;
  }

  /** The delimiter that the first line has most of, if lines all have as many; where it has none, what the file's name says. */
  private sniffDelimiter(head: string): string {
    const lines = head.replace(/"[^"]*"/g, '').split(this.lineEnd, SNIFFED_LINES + 1);
    // The last one may go on.
    const whole = lines.length > 1 ? lines.slice(0, -1) : lines;
    const most = (candidates: readonly string[]) =>
      [...candidates]
        .sort((a, b) => count(lines[0]!, b) - count(lines[0]!, a))
        .find((each) => count(lines[0]!, each) > 0);
    const isEven = (delimiter: string) =>
      whole.every((line) => line.trim() === '' || count(line, delimiter) === count(lines[0]!, delimiter));
    const found = most(DELIMITERS.filter(isEven)) ?? most(DELIMITERS);
    return found ?? (/\.tsv(\.gz)?$/i.test(this.path) ? '\t' : ',');
  }

  private explain(error: unknown): unknown {
    if (!(error instanceof CsvError)) return error;
    const line = this.lines + this.parser.info.empty_lines + 1;
    if (error.code === 'CSV_MAX_RECORD_SIZE') {
      return this.invalid(`a row of at most ${MOST_ROW_CHARACTERS} characters`, 'a longer one', line, error);
    }
    const found = error.code === 'CSV_QUOTE_NOT_CLOSED' ? 'the end of the file' : error.message;
    return this.invalid(
      'a closing quote for a field that opens with one',
      `${found} (${quotingAdvice()})`,
      line,
      error,
    );
  }

  private invalid(expected: string, found: string, line: number, cause?: unknown): BertuneError {
    return new BertuneError('INVALID_DATA', `Expected ${expected} in ${this.path}, line ${line}, but found ${found}`, {
      cause,
    });
  }
}

/** The error for a row in quotes that is several without them. */
export function severalRows(path: string, line: number, rows: number): BertuneError {
  const advice = `${quotingAdvice()}; where it is one row, with ${option('quoting', 'standard')}`;
  return new BertuneError(
    'INVALID_DATA',
    `Expected one row in quotes in ${path}, line ${line}, but found what looks like ${rows} rows whose texts hold them ` +
      `(${advice})`,
  );
}

/** The names of the columns, and where each is: the first of that name. */
class Header {
  /** Whether the caller has been told. */
  isKnown = false;
  private readonly indices = new Map<string, number>();

  constructor(readonly names: readonly string[]) {
    for (const [index, name] of names.entries()) if (!this.indices.has(name)) this.indices.set(name, index);
  }

  /** Whether fields are a row of these columns, but for empty ones that nobody has a name for. */
  fits(fields: readonly string[]): boolean {
    const { names } = this;
    if (fields.length === names.length) return true;
    const more = fields.length > names.length ? fields.slice(names.length) : names.slice(fields.length);
    return more.every((rest) => rest.trim() === '');
  }

  indexOf(name: string): number {
    return this.indices.get(name) ?? -1;
  }
}

class DelimitedRecord implements DataRecord {
  constructor(
    readonly place: number,
    private readonly header: Header,
    private readonly fields: readonly string[],
    readonly unquoted: readonly (readonly string[])[] | undefined,
  ) {}

  get values(): readonly string[] {
    return this.columns.map((_, index) => this.fields[index] ?? '');
  }

  get columns(): readonly string[] {
    return this.header.names;
  }

  get(column: string): string | undefined {
    return this.fields[this.header.indexOf(column)];
  }
}

/** A field as it stands in a file, in quotes. */
function quoted(field: string): string {
  return `"${field.replaceAll('"', '""')}"`;
}

function count(text: string, character: string): number {
  let found = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) found++;
  return found;
}

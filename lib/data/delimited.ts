import { finished } from 'node:stream/promises';
import { CsvError, type InfoRecord, Parser } from 'csv-parse';
import { BertuneError } from '../errors.js';
import { option } from '../option-names.js';
import { TimeSlice } from '../time-slice.js';
import { chooseColumns } from './columns.js';
import { expectRow, MOST_HEADER_CHARACTERS, MOST_ROW_CHARACTERS } from './limits.js';
import type { Rows } from './rows.js';
import { readTextFile } from './text-file.js';
import type { ReadOptions } from './types.js';

const DELIMITERS = [',', ';', '\t'];

/** What is parsed between two looks at the clock; about a millisecond's work. */
const PIECE_CHARACTERS = 2048;

/** The longest label that a line is looked through for, in characters. */
const MOST_LABEL_CHARACTERS = 200;

const advice = () => `where quotes are characters of the texts, read it with ${option('quoting', 'none')}`;

/** A row of several lines that would be as many rows if quotes meant nothing. */
interface Doubt {
  readonly line: number;
  readonly lines: number;
  /** What those rows would have for labels. */
  readonly labels: readonly string[];
}

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
 * @param rows of the split, to which its rows are added
 * @param options which columns; the delimiter, where the header does not show it; what quotes mean
 * @throws NOT_FOUND: no such file or column · INVALID_DATA: not UTF-8, an open quote, quotes that make one row of what
 * looks like several, a row with too few or too many columns, an empty label, no header; each with its line · ABORTED
 */
export async function readDelimited(path: string, rows: Rows, options: ReadOptions): Promise<void> {
  const slice = new TimeSlice(options.signal);
  let collector: DelimitedRows | undefined;
  let header = '';
  for await (const chunk of readTextFile(path, options.signal)) {
    let text = chunk;
    if (collector === undefined) {
      header += chunk;
      if (!/[\r\n]/.test(chunk)) {
        expectRow(path, 1, header.length, MOST_HEADER_CHARACTERS);
        continue;
      }
      collector = new DelimitedRows(path, header, rows, options);
      text = header;
    }
    for (let start = 0; start < text.length; start += PIECE_CHARACTERS) {
      collector.write(text.slice(start, start + PIECE_CHARACTERS));
      if (slice.isOver) await slice.next();
    }
  }
  if (collector === undefined) {
    collector = new DelimitedRows(path, header, rows, options);
    collector.write(header);
  }
  await collector.end();
}

/** Collects the rows that csv-parse finds, and turns its complaints into ours. */
class DelimitedRows {
  private readonly parser: Parser;
  private error: unknown;
  private width = 0;
  private text = -1;
  /** −1 where there is none. */
  private label = -1;
  private pair = -1;
  /** Lines of the records so far, without the empty lines between them. */
  private lines = 0;
  private readonly delimiter: string;
  private readonly doubts: Doubt[] = [];

  constructor(
    private readonly path: string,
    header: string,
    private readonly rows: Rows,
    private readonly options: ReadOptions,
  ) {
    this.delimiter = options.delimiter ?? sniffDelimiter(path, header);
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

  /** Ends the file, once its last piece was written. */
  async end(): Promise<void> {
    this.parser.end();
    await finished(this.parser).catch((error: unknown) => {
      this.error ??= error;
    });
    if (this.error !== undefined) throw this.explain(this.error);
    if (this.width === 0) throw this.invalid('a header line', 'nothing', 1);
    this.settleDoubts();
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
        throw this.invalid('a closing quote at the end of a field', `text after it, or none (${advice()})`, line);
      }
    }
    this.lines += 1 + newlines;
    if (newlines > 0) this.doubt(raw, line);
    if (this.width === 0) this.start(record);
    else this.addRow(record, line);
  }

  private start(header: readonly string[]): void {
    const columns = header.map((column) => column.trim());
    const { text, pair, label } = chooseColumns(this.path, columns, this.rows, this.options);
    this.width = columns.length;
    this.text = columns.indexOf(text);
    this.pair = pair === undefined ? -1 : columns.indexOf(pair);
    this.label = label === undefined ? -1 : columns.indexOf(label);
  }

  private addRow(record: readonly string[], line: number): void {
    if (record.length !== this.width) {
      const advice = record.length > this.width ? ' (a text that holds the delimiter must be in quotes)' : '';
      throw this.invalid(`${this.width} columns`, `${record.length}${advice}`, line);
    }
    this.rows.add(record[this.text]!, record[this.label] ?? null, line, record[this.pair]);
  }

  /**
   * Quotes may close properly and still be characters of the texts: of one text that starts with a quote and of a later
   * one that ends with one. Then every line of the row has all columns.
   */
  private doubt(raw: string, line: number): void {
    if (this.options.quoting === 'standard' || this.width < 2) return;
    const lines = raw.split(/\r?\n/).filter((content) => content !== '');
    const rows = lines.map((content) => content.split(this.delimiter));
    if (rows.some(({ length }) => length !== this.width)) return;
    // A tab tells a row by itself. Texts hold commas: there a row is told by its label as well.
    const isTold = this.delimiter === '\t';
    if (!isTold && this.label < 0) return;
    const labels = isTold ? [] : rows.map((columns) => columns[this.label]!.replace(/^"|"$/g, '').trim());
    if (labels.every(({ length }) => length <= MOST_LABEL_CHARACTERS)) {
      this.doubts.push({ line, lines: lines.length, labels: [...new Set(labels)] });
    }
  }

  /** A row in doubt is several where all of them would have labels that the split has. */
  private settleDoubts(): void {
    const known = new Set(this.rows.names);
    const several = this.doubts.find(({ labels }) => labels.every((label) => known.has(label)));
    if (several === undefined) return;
    const { line, lines } = several;
    const ways = `${advice()}; where it is one row, with ${option('quoting', 'standard')}`;
    throw this.invalid('one row in quotes', `what looks like ${lines} rows whose texts hold them (${ways})`, line);
  }

  private explain(error: unknown): unknown {
    if (!(error instanceof CsvError)) return error;
    const line = this.lines + this.parser.info.empty_lines + 1;
    if (error.code === 'CSV_MAX_RECORD_SIZE') {
      return this.invalid(`a row of at most ${MOST_ROW_CHARACTERS} characters`, 'a longer one', line, error);
    }
    const found = error.code === 'CSV_QUOTE_NOT_CLOSED' ? 'the end of the file' : error.message;
    return this.invalid('a closing quote for a field that opens with one', `${found} (${advice()})`, line, error);
  }

  private invalid(expected: string, found: string, line: number, cause?: unknown): BertuneError {
    return new BertuneError('INVALID_DATA', `Expected ${expected} in ${this.path}, line ${line}, but found ${found}`, {
      cause,
    });
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

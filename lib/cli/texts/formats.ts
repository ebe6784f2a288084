import { extname } from 'node:path';
import { columnOf } from '../../data/records.js';
import { BertuneError } from '../../errors.js';
import { jsonMembers, parseJsonRow } from '../../files/json.js';
import { printableJsonText } from '../../printable.js';
import { type CsvValue, csvLine } from '../../report/csv.js';
import type { Prediction } from '../../tasks/prediction.js';
import type { Answered, SourceText } from './answers.js';
import { NpyFormat } from './npy.js';

/** What is written of a prediction. */
export interface ColumnOptions {
  /** Whether every label's score is written. */
  scores: boolean;
  /** Whether the texts are. */
  text: boolean;
  /** What the names of new columns begin with, beside those of a file. */
  prefix: string;
}

/** How answers are written. */
export interface OutputFormat<Answer> {
  /** Some more rows; before the first, what the file begins with. */
  lines(rows: readonly Answered<Answer>[]): string | Uint8Array;
  /** What the file's first bytes are in the end, where that is known only then. */
  head?(): Uint8Array;
}

/** How files are written, by the endings of their names; JSON lines among them. */
export type OutputFormats<Answer> = Readonly<Record<string, (options: ColumnOptions) => OutputFormat<Answer>>>;

/** What a model makes of a text: the vector behind its answer. */
export interface Embedding {
  readonly embedding: Float32Array;
}

const JSON_LINES = {
  '.jsonl': (options: ColumnOptions) => new JsonLinesFormat(options),
  '.ndjson': (options: ColumnOptions) => new JsonLinesFormat(options),
};

export const PREDICTION_FORMATS: OutputFormats<Prediction> = {
  '.csv': (options) => new DelimitedFormat(options, ','),
  '.tsv': (options) => new DelimitedFormat(options, '\t'),
  ...JSON_LINES,
};

export const EMBEDDING_FORMATS: OutputFormats<Embedding> = { ...JSON_LINES, '.npy': () => new NpyFormat() };

/**
 * The format that a file's name says.
 *
 * @param path undefined: JSON lines, for standard output
 * @throws BertuneError INVALID_OPTION for one that is not known
 */
export function formatOf<Answer>(
  path: string | undefined,
  options: ColumnOptions,
  formats: OutputFormats<Answer>,
): OutputFormat<Answer> {
  const format = formats[path === undefined ? '.jsonl' : extname(path).toLowerCase()];
  if (format !== undefined) return format(options);
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected a name that ends in ${Object.keys(formats).join(', ')} for --output but received ${JSON.stringify(path)}`,
  );
}

/** How a format writes a value, and one that is JSON already. */
interface ValueWriter<Value> {
  value(value: unknown): Value;
  json(text: string): Value;
}

/** What new columns are called: those of a text by itself have plain names. */
function prefixOf({ row }: SourceText, { prefix }: ColumnOptions): string {
  return row === undefined ? '' : prefix;
}

/** The columns of an input, in its order. */
function inputColumns<Value>(
  { text, pair, row }: SourceText,
  options: ColumnOptions,
  writer: ValueWriter<Value>,
): [name: string, value: Value][] {
  if (row === undefined) {
    const texts: [string, string | undefined][] = options.text
      ? [
          ['text', text],
          ['text_pair', pair],
        ]
      : [];
    return texts.flatMap(([name, value]) => (value === undefined ? [] : [[name, writer.value(value)]]));
  }
  const { record, columns } = row;
  const all: [string, Value][] =
    record.json === undefined
      ? record.columns.map((name, i) => [name, writer.value(record.values[i])])
      : jsonMembers(record.json).map(([name, value]) => [name, writer.json(value)]);
  if (options.text) return all;
  const texts = [columns.text, columns.pair].map((path) => path && columnOf(path, record.columns));
  return all.filter(([name]) => !texts.includes(name));
}

/**
 * Writes predictions as delimited columns below a header line. The columns are those of the first row; others may lack some
 * of them, but have no more.
 */
class DelimitedFormat {
  readonly #options: ColumnOptions;
  readonly #delimiter: string;
  /** The input's columns. */
  #names: readonly string[] | undefined;

  /** @param delimiter a comma or a tab */
  constructor(options: ColumnOptions, delimiter: string) {
    this.#options = options;
    this.#delimiter = delimiter;
  }

  /** The lines of some predictions. @throws BertuneError INVALID_DATA for a column whose name is taken, or a new one */
  lines(rows: readonly Answered<Prediction>[]): string {
    return rows.map((row) => this.#line(row)).join('');
  }

  #line(row: Answered<Prediction>): string {
    const columns = inputColumns(row.input, this.#options, CSV_WRITER);
    const added = this.#added(row);
    const header = this.#names === undefined ? this.#header(row, columns, added) : '';
    const values = this.#values(row, columns);
    return header + csvLine([...values, ...added.map(([, value]) => value)], this.#delimiter, values.length);
  }

  #header(
    { input }: Answered<Prediction>,
    columns: readonly [string, CsvValue][],
    added: readonly [string, CsvValue][],
  ): string {
    const names = columns.map(([name]) => name);
    const newNames = added.map(([name]) => name);
    expectNewNames(input, names, newNames);
    this.#names = names;
    return csvLine([...names, ...newNames], this.#delimiter, names.length);
  }

  /** In the order of the header. */
  #values({ input }: Answered<Prediction>, columns: readonly [string, CsvValue][]): CsvValue[] {
    const names = this.#names!;
    if (columns.length === names.length && columns.every(([name], i) => name === names[i])) {
      return columns.map(([, value]) => value);
    }
    const byName = new Map(columns);
    const odd = columns.find(([name]) => !names.includes(name));
    if (odd === undefined) return names.map((name) => byName.get(name));
    throw new BertuneError(
      'INVALID_DATA',
      `Expected the columns of the first row in ${input.place} but found ${JSON.stringify(odd[0])} too; write JSON lines ` +
        'instead, with --output FILE.jsonl',
    );
  }

  #added(row: Answered<Prediction>): [string, CsvValue][] {
    const { scores } = this.#options;
    const prefix = prefixOf(row.input, this.#options);
    const { label, score, scores: all = {}, labels, value, values = {}, top, margin, entropy } = row.answer;
    const ranked = top ?? (label === undefined ? [] : [{ label, score }]);
    const columns: [string, CsvValue][] = [
      ...(labels === undefined ? [] : [['labels', labels.join(LABEL_SEPARATOR)] as [string, CsvValue]]),
      ...ranked.flatMap(({ label: name, score: its }, i): [string, CsvValue][] => {
        const rank = i === 0 ? '' : `_${i + 1}`;
        return [
          [`label${rank}`, name],
          [`score${rank}`, its],
        ];
      }),
      ...Object.entries({ margin, entropy, value }).filter(([, its]) => its !== undefined),
      ...Object.entries(values).map(([name, its]): [string, CsvValue] => [`values.${name}`, its]),
      ...(scores ? Object.entries(all).map(([name, its]): [string, CsvValue] => [`scores.${name}`, its]) : []),
    ];
    return columns.map(([name, its]) => [prefix + name, its]);
  }
}

/** Between the labels of a text. */
const LABEL_SEPARATOR = '|';

const CSV_WRITER: ValueWriter<CsvValue> = {
  value: (value) => {
    if (value === null || value === undefined) return null;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
    if (typeof value === 'bigint') return String(value);
    const json = jsonOf(value);
    return json.startsWith('"') ? (JSON.parse(json) as string) : json;
  },
  // Numbers as they are written.
  json: (text) => {
    if (text === 'null') return null;
    return text.startsWith('"') ? (JSON.parse(text) as string) : text;
  },
};

/** Writes answers as a JSON object per line. */
class JsonLinesFormat {
  readonly #options: ColumnOptions;
  /** The names of a file's columns that were looked at last. */
  #checked: readonly string[] | undefined;

  constructor(options: ColumnOptions) {
    this.#options = options;
  }

  /** The lines of some answers. @throws BertuneError INVALID_DATA for a column whose name is taken */
  lines(rows: readonly Answered<object>[]): string {
    return rows.map((row) => `${this.#line(row)}\n`).join('');
  }

  #line(row: Answered<object>): string {
    const columns = inputColumns(row.input, this.#options, JSON_WRITER);
    const added = this.#added(row);
    this.#expectNames(row, columns, added);
    const members = [...columns, ...added].map(([name, json]) => `${JSON.stringify(name)}:${json}`);
    // Between its parts, JSON from a file may have line ends.
    return printableJsonText(`{${members.join(',')}}`.replace(/[\r\n]+/g, ' '));
  }

  #added(row: Answered<object>): [string, string][] {
    const { scores } = this.#options;
    const { scores: all, top, ...answer }: { scores?: unknown; top?: unknown } = row.answer;
    const isAlone = row.input.row === undefined;
    const added: [string, unknown][] = [
      ...Object.entries(answer),
      ...(top === undefined ? [] : [['top', top] as [string, unknown]]),
      ...(all && (scores || (isAlone && top === undefined)) ? [['scores', all] as [string, unknown]] : []),
    ];
    const prefix = prefixOf(row.input, this.#options);
    return added.map(([name, value]) => [prefix + name, answerJson(value)]);
  }

  #expectNames(
    { input }: Answered<object>,
    columns: readonly [string, string][],
    added: readonly [string, string][],
  ): void {
    if (input.row === undefined) return;
    const { record } = input.row;
    // All rows of a delimited file share their names.
    if (record.columns === this.#checked) return;
    this.#checked = record.columns;
    const names = columns.map(([name]) => name);
    expectNewNames(
      input,
      names,
      added.map(([name]) => name),
    );
    const twice = names.find((name, i) => names.indexOf(name) < i);
    if (twice === undefined) return;
    throw new BertuneError(
      'INVALID_DATA',
      `Expected columns of different names for JSON but ${JSON.stringify(twice)} occurs twice (${input.place}); rename ` +
        'one, or write a CSV with --output',
    );
  }
}

/** A number in single precision has nine digits that tell it from its neighbors. */
function answerJson(value: unknown): string {
  if (!(value instanceof Float32Array)) return JSON.stringify(value);
  return `[${Array.from(value, (number) => Number(number.toPrecision(9))).join(',')}]`;
}

const JSON_WRITER: ValueWriter<string> = {
  value: (value) => (typeof value === 'bigint' ? String(value) : jsonOf(value)),
  json: (text) => {
    // Words that Python writes for numbers, and that are no JSON.
    if (!/NaN|Infinity/.test(text) || isJson(text)) return text;
    return jsonOf(parseJsonRow(text));
  },
};

/** A value of a file's column as JSON. What JSON has no value for is null, bytes are base64. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value ?? null, (_key, inner: unknown) => {
    if (typeof inner === 'bigint') return Number.isSafeInteger(Number(inner)) ? Number(inner) : String(inner);
    return inner instanceof Uint8Array ? Buffer.from(inner).toString('base64') : inner;
  });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** @throws BertuneError INVALID_DATA where an input has a column that is to be added */
function expectNewNames({ place }: SourceText, names: readonly string[], added: readonly string[]): void {
  const taken = added.find((name) => names.includes(name));
  if (taken === undefined) return;
  throw new BertuneError(
    'INVALID_DATA',
    `The input has a column ${JSON.stringify(taken)} already (${place}); choose other names for the new ones with --prefix`,
  );
}

import { BertuneError } from '../../errors.js';
import { parseJsonRow } from '../../files/json.js';
import { printableJsonText } from '../../printable.js';
import { type ColumnOptions, inputColumns, prefixOf, ranking, type ValueWriter } from './columns.js';
import { expectNewNames } from './names.js';
import type { Predicted } from './predicted.js';

/** Writes predictions as a JSON object a line. */
export class JsonLinesFormat {
  readonly #options: ColumnOptions;
  /** The names of a file's columns that were looked at last. */
  #checked: readonly string[] | undefined;

  constructor(options: ColumnOptions) {
    this.#options = options;
  }

  /** The lines of some predictions. @throws BertuneError INVALID_DATA for a column whose name is taken */
  lines(rows: readonly Predicted[]): string {
    return rows.map((row) => `${this.#line(row)}\n`).join('');
  }

  #line(row: Predicted): string {
    const columns = inputColumns(row.input, this.#options, JSON_WRITER);
    const added = this.#added(row);
    this.#expectNames(row, columns, added);
    const members = [...columns, ...added].map(([name, json]) => `${JSON.stringify(name)}:${json}`);
    // Between its parts, JSON from a file may have line ends.
    return printableJsonText(`{${members.join(',')}}`.replace(/[\r\n]+/g, ' '));
  }

  #added(row: Predicted): [string, string][] {
    const { topK, scores } = this.#options;
    const { scores: all, ...answer } = row.prediction;
    const top = topK === null ? null : ranking(row, topK).map(([best, its]) => ({ label: best, score: its }));
    const isAlone = row.input.row === undefined;
    const added: [string, unknown][] = [
      ...Object.entries(answer),
      ...(top === null ? [] : [['top', top] as [string, unknown]]),
      ...(all && (scores || (isAlone && top === null)) ? [['scores', all] as [string, unknown]] : []),
    ];
    const prefix = prefixOf(row.input, this.#options);
    return added.map(([name, value]) => [prefix + name, JSON.stringify(value)]);
  }

  #expectNames({ input }: Predicted, columns: readonly [string, string][], added: readonly [string, string][]): void {
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

const JSON_WRITER: ValueWriter<string> = {
  value: (value) => (typeof value === 'bigint' ? String(value) : jsonOf(value)),
  json: (text) => {
    // Words that Python writes for numbers, and that are no JSON.
    if (!/NaN|Infinity/.test(text) || isJson(text)) return text;
    return jsonOf(parseJsonRow(text));
  },
};

/** A value of a file's column as JSON. What JSON has no value for is null, bytes are base64. */
export function jsonOf(value: unknown): string {
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

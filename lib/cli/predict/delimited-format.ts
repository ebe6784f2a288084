import { BertuneError } from '../../errors.js';
import { type CsvValue, csvLine } from '../../report/csv.js';
import { type ColumnOptions, inputColumns, prefixOf, ranking, type ValueWriter } from './columns.js';
import { jsonOf } from './json-format.js';
import { expectNewNames } from './names.js';
import type { Predicted } from './predicted.js';

/**
 * Writes predictions as delimited columns below a header line. The columns are those of the first row; others may lack some
 * of them, but have no more.
 */
export class DelimitedFormat {
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
  lines(rows: readonly Predicted[]): string {
    return rows.map((row) => this.#line(row)).join('');
  }

  #line(row: Predicted): string {
    const columns = inputColumns(row.input, this.#options, CSV_WRITER);
    const added = this.#added(row);
    const header = this.#names === undefined ? this.#header(row, columns, added) : '';
    const values = this.#values(row, columns);
    return header + csvLine([...values, ...added.map(([, value]) => value)], this.#delimiter, values.length);
  }

  #header({ input }: Predicted, columns: readonly [string, CsvValue][], added: readonly [string, CsvValue][]): string {
    const names = columns.map(([name]) => name);
    const newNames = added.map(([name]) => name);
    expectNewNames(input, names, newNames);
    this.#names = names;
    return csvLine([...names, ...newNames], this.#delimiter, names.length);
  }

  /** In the order of the header. */
  #values({ input }: Predicted, columns: readonly [string, CsvValue][]): CsvValue[] {
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

  #added(row: Predicted): [string, CsvValue][] {
    const { topK, scores } = this.#options;
    const prefix = prefixOf(row.input, this.#options);
    const { label, score, scores: all = {}, labels, value, values = {} } = row.prediction;
    const best = label === undefined ? [] : [[label, score] as const];
    const ranked = topK === null ? best : ranking(row, topK);
    const columns: [string, CsvValue][] = [
      ...(labels === undefined ? [] : [['labels', labels.join(LABEL_SEPARATOR)] as [string, CsvValue]]),
      ...ranked.flatMap(([name, its], i): [string, CsvValue][] => {
        const rank = i === 0 ? '' : `_${i + 1}`;
        return [
          [`label${rank}`, name],
          [`score${rank}`, its],
        ];
      }),
      ...(value === undefined ? [] : [['value', value] as [string, CsvValue]]),
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

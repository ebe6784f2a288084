import { BertuneError } from '../errors.js';
import { show } from '../options.js';
import { type Columns, chooseColumns } from './columns.js';
import { severalRows } from './delimited.js';
import { type DataRecord, placeUnit, readRecords } from './records.js';
import type { Rows } from './rows.js';
import type { ReadOptions } from './types.js';

/** The longest label that a line is looked through for, in characters. */
const MOST_LABEL_CHARACTERS = 200;

/** A row of several lines that would be as many rows if quotes meant nothing. */
interface Doubt {
  readonly line: number;
  readonly lines: number;
  /** What those rows would have for labels. */
  readonly labels: readonly string[];
}

/**
 * Reads the texts and labels of a file.
 *
 * @param path the file
 * @param rows of the split, to which its rows are added
 * @param options which columns; how the file is written
 * @throws BertuneError as `readRecords`; NOT_FOUND: no such column · INVALID_DATA: a text that is no string, a label that is
 *   no name, number or boolean; with the line or row
 */
export async function readExamples(path: string, rows: Rows, options: ReadOptions): Promise<void> {
  rows.begin(path, placeUnit(path));
  let columns: Columns | undefined;
  let labelIndex = -1;
  const doubts: Doubt[] = [];
  const records = readRecords(path, {
    ...options,
    columns: (file) => {
      columns = chooseColumns(path, file, rows, options);
      const { text, pair, label } = columns;
      if (label !== undefined) {
        labelIndex = file.names.indexOf(label);
        rows.classNames = file.classNames?.(label);
      }
      return [text, pair, label].filter((name) => name !== undefined);
    },
  });
  for await (const piece of records) {
    for (const record of piece) {
      const { text, pair, label } = columns!;
      rows.add(
        textOf(path, record, text),
        label === undefined ? null : labelOf(path, record, label),
        record.place,
        pair === undefined ? undefined : textOf(path, record, pair),
      );
      const doubt = record.unquoted && doubtOf(record, record.unquoted, labelIndex);
      if (doubt !== undefined) doubts.push(doubt);
    }
  }
  settleDoubts(path, doubts, rows);
}

/**
 * The text of a record.
 *
 * @param path the file, for messages
 * @throws BertuneError INVALID_DATA where it is no string
 */
export function textOf(path: string, record: DataRecord, column: string): string {
  const value = record.get(column);
  if (typeof value === 'string' && value.isWellFormed()) return value;
  throw invalid(path, record, `a string for ${column}`, value);
}

/** @returns null for none */
function labelOf(path: string, record: DataRecord, column: string): string | null {
  const value = record.get(column);
  if (typeof value === 'string' && value.isWellFormed()) return value;
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  const isExact = typeof value === 'number' && (Number.isSafeInteger(value) || value % 1 !== 0);
  if (isExact && Number.isFinite(value)) return String(value);
  throw invalid(path, record, `a name or a number for ${column}`, value);
}

function invalid(path: string, { place }: DataRecord, expected: string, value: unknown): BertuneError {
  const where = `${path}, ${placeUnit(path)} ${place}`;
  return new BertuneError('INVALID_DATA', `Expected ${expected} in ${where}, but found ${found(value)}`);
}

function found(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return 'half of a surrogate pair, which is no character';
  if (value instanceof Uint8Array) return 'bytes that are not UTF-8';
  if (value instanceof Date) return `the time ${value.toISOString()}`;
  if (typeof value === 'number' && !Number.isFinite(value)) return 'a number that is not finite';
  return show(value);
}

function doubtOf(
  { place }: DataRecord,
  unquoted: readonly (readonly string[])[],
  labelIndex: number,
): Doubt | undefined {
  if (labelIndex < 0) return undefined;
  const labels = unquoted.map((fields) => fields[labelIndex]!.replace(/^"|"$/g, '').trim());
  if (labels.some(({ length }) => length > MOST_LABEL_CHARACTERS)) return undefined;
  return { line: place, lines: unquoted.length, labels: [...new Set(labels)] };
}

/** A row in doubt is several where all of them would have labels that the split has. */
function settleDoubts(path: string, doubts: readonly Doubt[], rows: Rows): void {
  const known = new Set(rows.names);
  const several = doubts.find(({ labels }) => labels.every((label) => known.has(label)));
  if (several !== undefined) throw severalRows(path, several.line, several.lines);
}

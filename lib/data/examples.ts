import { BertuneError } from '../errors.js';
import { show } from '../options.js';
import { type Columns, chooseColumns } from './columns.js';
import { severalRows } from './delimited.js';
import { type DataRecord, type InvalidRow, placeUnit, readRecords } from './records.js';
import { type Rows, skippingAdvice } from './rows.js';
import type { ReadOptions } from './types.js';

const SEVERAL_LABELS = 'with several labels';

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
 * @param options which columns; how the file is written; whether to leave out rows that cannot be used
 * @throws BertuneError as `readRecords`; NOT_FOUND: no such column · INVALID_DATA: a text that is no string, a label that is
 *   no name, number or boolean; with the line or row
 */
export async function readExamples(path: string, rows: Rows, options: ReadOptions): Promise<void> {
  rows.begin(path, placeUnit(path));
  let columns: Columns | undefined;
  let labelIndex = -1;
  const doubts: Doubt[] = [];
  // The reader is ahead of the records: the first row that is wrong is the one to be refused.
  const ahead: InvalidRow[] = [];
  const refuse = ({ reason, place, error }: InvalidRow) => {
    if (options.skipInvalid) rows.skip(reason, place);
    // Where a text may have several labels, hardly any row would be left.
    else if (reason === SEVERAL_LABELS) throw error;
    else throw new BertuneError(error.code, `${error.message}; ${skippingAdvice()}`, { cause: error.cause });
  };
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
    onInvalid: (row) => ahead.push(row),
    onNote: (note) => rows.notes.push(note),
  });
  for await (const piece of records) {
    for (const record of piece) {
      while (ahead.length > 0 && ahead[0]!.place < record.place) refuse(ahead.shift()!);
      const example = readExample(path, record, columns!);
      if ('error' in example) {
        refuse(example);
        continue;
      }
      rows.add(example.text, example.label, record.place, example.pair);
      const doubt = record.unquoted && doubtOf(record, record.unquoted, labelIndex);
      if (doubt !== undefined) doubts.push(doubt);
    }
  }
  ahead.forEach(refuse);
  settleDoubts(path, doubts, rows);
}

interface Example {
  readonly text: string;
  readonly pair: string | undefined;
  /** null for none. */
  readonly label: string | null;
}

function readExample(path: string, record: DataRecord, { text, pair, label }: Columns): Example | InvalidRow {
  const first = record.get(text);
  if (!isText(first)) return invalidText(path, record, text);
  const second = pair === undefined ? undefined : record.get(pair);
  if (pair !== undefined && !isText(second)) return invalidText(path, record, pair);
  const value = label === undefined ? null : record.get(label);
  const name = readLabel(value);
  if (name !== undefined) return { text: first, pair: second as string | undefined, label: name };
  if (Array.isArray(value) && value.length > 1) {
    const where = `${path}, ${placeUnit(path)} ${record.place}`;
    const several = 'several labels for one text are not supported yet: give each row one label';
    const message = `Found ${value.length} labels in ${where}, but ${several}`;
    return { reason: SEVERAL_LABELS, place: record.place, error: new BertuneError('INVALID_DATA', message) };
  }
  const expected = Array.isArray(value) ? 'one label' : 'a name or a number';
  const error = invalid(path, record, `${expected} for ${label}`, value);
  return { reason: 'with a label that is no name', place: record.place, error };
}

/** Whether a value can be a text. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}

/**
 * A row whose text is no string.
 *
 * @param path the file, for messages
 * @param column of the text
 */
export function invalidText(path: string, record: DataRecord, column: string): InvalidRow {
  const error = invalid(path, record, `a string for ${column}`, record.get(column));
  return { reason: 'without a text', place: record.place, error };
}

/** A label as it is written; null for none, undefined for what can be none. */
function readLabel(value: unknown): string | null | undefined {
  if (isText(value)) return value;
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  const isExact = typeof value === 'number' && (Number.isSafeInteger(value) || value % 1 !== 0);
  return isExact && Number.isFinite(value) ? String(value) : undefined;
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

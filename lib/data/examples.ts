import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { show } from '../options/validation.js';
import { type LabelKind, taskOf, usualTask } from '../tasks/index.js';
import { chooseColumns } from './columns.js';
import { severalRows } from './delimited.js';
import { placeUnit, readRecords } from './readers.js';
import type { Columns, DataRecord, InvalidRow } from './records.js';
import { type Rows, skippingAdvice, type WrittenLabel } from './rows.js';
import type { ReadOptions } from './types.js';

const SEVERAL_LABELS = 'with a list of labels';

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
  const kind = options.task && taskOf(options.task).labels;
  const how = { kind, separator: options.labelSeparator, reason: options.taskReason ?? `the task is ${options.task}` };
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
  const isOther = (label: WrittenLabel) =>
    label !== null && rows.areLists !== undefined && rows.areLists !== (typeof label !== 'string');
  const records = readRecords(path, {
    ...options,
    columns: (file) => {
      columns = chooseColumns(path, file, rows, options);
      const { text, pair, label, labels = [] } = columns;
      if (label !== undefined) {
        labelIndex = file.names.indexOf(label);
        rows.classNames = file.classNames?.(label);
      }
      // Every column is a label, whether a row has it or not.
      if (kind !== 'values') for (const name of labels) rows.indexOf(name, 1);
      return [text, pair, label, ...labels].filter((name) => name !== undefined);
    },
    onInvalid: (row) => ahead.push(row),
    onNote: (note) => rows.notes.push(note),
  });
  for await (const piece of records) {
    for (const record of piece) {
      while (ahead.length > 0 && ahead[0]!.place < record.place) refuse(ahead.shift()!);
      const example = readExample(path, record, columns!, how);
      if ('error' in example) {
        refuse(example);
        continue;
      }
      if (isOther(example.label)) throw mixed(path, record, columns!, rows);
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
  readonly label: WrittenLabel;
}

/** How labels are read. */
interface LabelReading {
  /** What they are; undefined where the data are to say. */
  readonly kind: LabelKind | undefined;
  /** What separates several in a text; undefined where nothing does. */
  readonly separator: string | undefined;
  /** Why there is one label a row, in words. */
  readonly reason: string;
}

function readExample(path: string, record: DataRecord, columns: Columns, how: LabelReading): Example | InvalidRow {
  const { text, pair } = columns;
  const first = record.get(text);
  if (!isText(first)) return invalidText(path, record, text);
  const second = pair === undefined ? undefined : record.get(pair);
  if (pair !== undefined && !isText(second)) return invalidText(path, record, pair);
  const label =
    columns.labels === undefined
      ? readLabels(path, record, columns.label, how)
      : readColumns(path, record, columns.labels, how);
  const isWritten = label === null || typeof label === 'string' || !('error' in label);
  return isWritten ? { text: first, pair: second as string | undefined, label } : label;
}

/** What one column says of a row's labels. */
function readLabels(
  path: string,
  record: DataRecord,
  column: string | undefined,
  { kind, separator, reason }: LabelReading,
): WrittenLabel | InvalidRow {
  const value = column === undefined ? null : record.get(column);
  if (Array.isArray(value)) {
    const names = value.map(readLabel);
    const odd = names.findIndex((name) => name === null || name === undefined || name.trim() === '');
    if (odd >= 0) return invalidLabel(path, record, `names or numbers in ${column}`, value[odd]);
    if (kind !== 'class') return names as string[];
    const message = `Found a list of labels in ${placeOf(path, record)}, but ${reason}: ${oneLabelAdvice()}`;
    return { reason: SEVERAL_LABELS, place: record.place, error: new BertuneError('INVALID_DATA', message) };
  }
  const name = readLabel(value);
  if (name === undefined) return invalidLabel(path, record, `a name or a number for ${column}`, value);
  if (separator !== undefined && name !== null) {
    return name
      .split(separator)
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }
  if (name === null || name.trim() === '') return null;
  return kind === 'classes' ? [name] : name;
}

const oneLabelAdvice = () => `give each row one label, or set ${option('task', usualTask('classes'))}`;

/** What a column for each label, or for each value, says of a row. */
function readColumns(
  path: string,
  record: DataRecord,
  columns: readonly string[],
  { kind }: LabelReading,
): WrittenLabel | InvalidRow {
  const written = columns.map((column) => readLabel(record.get(column))?.trim());
  // Tests whose labels are kept back have nothing there, or −1.
  if (written.every((value) => value === undefined || value === '')) return null;
  if (kind === 'values') {
    const odd = written.findIndex((value) => value === undefined || value === '');
    if (odd >= 0) return invalidLabel(path, record, `a number for ${columns[odd]}`, record.get(columns[odd]!));
    return written as string[];
  }
  if (written.every((value) => value === '-1')) return null;
  const flags = written.map((value) => FLAGS.get(value?.toLowerCase() ?? ''));
  const odd = flags.indexOf(undefined);
  if (odd >= 0) return invalidLabel(path, record, `0 or 1 for ${columns[odd]}`, record.get(columns[odd]!));
  return columns.filter((_, i) => flags[i]);
}

/** How it is written whether a row has a label. */
const FLAGS = new Map([
  ...['0', '0.0', 'false'].map((value) => [value, false] as const),
  ...['1', '1.0', 'true'].map((value) => [value, true] as const),
]);

/** The error for a file in which some rows have lists of labels and others have not. */
function mixed(path: string, record: DataRecord, { label }: Columns, { areLists, sources }: Rows) {
  const expected = areLists ? `a list of labels for ${label}` : `a name or a number for ${label}`;
  const value = record.get(label!);
  const before = sources.length === 1 ? 'the rows before' : `the rows of ${sources[0]}`;
  return new BertuneError(
    'INVALID_DATA',
    `Expected ${expected} in ${placeOf(path, record)}, as in ${before}, but found ${found(value)}: write all labels as ` +
      `lists, or set ${option('task', usualTask('classes'))}`,
  );
}

function invalidLabel(path: string, record: DataRecord, expected: string, value: unknown): InvalidRow {
  const error = invalid(path, record, expected, value);
  return { reason: 'with a label that is no name', place: record.place, error };
}

function placeOf(path: string, { place }: DataRecord): string {
  return `${path}, ${placeUnit(path)} ${place}`;
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

function invalid(path: string, record: DataRecord, expected: string, value: unknown): BertuneError {
  return new BertuneError(
    'INVALID_DATA',
    `Expected ${expected} in ${placeOf(path, record)}, but found ${found(value)}`,
  );
}

function found(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string' && !value.isWellFormed()) return 'half of a surrogate pair, which is no character';
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

import { BertuneError } from '../errors.js';
import { nearest } from '../options.js';
import type { FileColumns } from './records.js';
import type { Rows } from './rows.js';
import type { ReadOptions } from './types.js';

const TEXT_COLUMNS = ['text', 'sentence', 'content', 'review', 'comment', 'tweet', 'message', 'document', 'utterance'];
const PAIR_COLUMNS = [
  ['sentence1', 'sentence2'],
  ['premise', 'hypothesis'],
  ['question', 'sentence'],
  ['text1', 'text2'],
  ['question1', 'question2'],
  ['text', 'text_pair'],
] as const;
const LABEL_COLUMNS = [
  'label',
  'labels',
  'label_name',
  'label_text',
  'class',
  'category',
  'emotion',
  'sentiment',
  'intent',
  'topic',
  'target',
];

/** The columns of a file's texts. */
export interface TextColumns {
  text: string;
  /** The second text of a pair; undefined for single texts. */
  pair?: string | undefined;
}

/** The columns of a file that matter. */
export interface Columns extends TextColumns {
  /** undefined where a file may do without and does. */
  label: string | undefined;
}

/**
 * Chooses the columns of texts and labels. Every file of a split has those of the first.
 *
 * @param path the file, for messages
 * @param file what the file has
 * @param rows of the split; keeps the columns
 * @param options the columns' exact names, where the caller knows them
 * @returns the chosen names; unless given, the first usual one that is there, whatever its case
 * @throws BertuneError NOT_FOUND, listing the file's columns, when there is no such column; INVALID_DATA when the first
 *   file of the split has others
 */
export function chooseColumns(path: string, file: FileColumns, rows: Rows, options: ReadOptions): Columns {
  const { columns: first } = rows;
  if (first === undefined) {
    rows.columns = { ...chooseTextColumns(path, file, options), label: chooseLabelColumn(path, file, options) };
    return rows.columns;
  }
  const there = [...file.names, ...file.nested];
  const missing = [first.text, first.pair, first.label].find((name) => name !== undefined && !there.includes(name));
  if (missing === undefined) return first;
  throw new BertuneError(
    'INVALID_DATA',
    `Expected the column ${missing} in ${path}, as in ${rows.sources[0]}, but its columns are ${list(file)}`,
  );
}

/**
 * Chooses the columns of texts.
 *
 * @param path the file, for messages
 * @param file what the file has
 * @param options the columns' exact names, where the caller knows them
 * @returns the chosen names; unless given, the first usual one that is there, or a usual pair
 * @throws BertuneError NOT_FOUND, listing the file's columns
 */
export function chooseTextColumns(
  path: string,
  file: FileColumns,
  { textColumn, textPairColumn }: Pick<ReadOptions, 'textColumn' | 'textPairColumn'>,
): TextColumns {
  if (textPairColumn !== undefined) {
    const pair = find(path, file, 'textPair', textPairColumn, []);
    const partner = PAIR_COLUMNS.find(([, second]) => second === pair.toLowerCase())?.[0];
    const others = { ...file, names: file.names.filter((column) => column !== pair) };
    const usual = partner === undefined ? TEXT_COLUMNS : [partner, ...TEXT_COLUMNS];
    return { text: find(path, others, 'text', textColumn, usual), pair };
  }
  const [text, pair] = textColumn === undefined ? (usualPair(file.names) ?? []) : [];
  return { text: text ?? find(path, file, 'text', textColumn, TEXT_COLUMNS), pair };
}

/** @returns undefined where a file may do without, and does */
function chooseLabelColumn(path: string, file: FileColumns, options: ReadOptions): string | undefined {
  const { labelColumn, labelsOptional } = options;
  const isMissing = labelColumn === undefined && usualColumn(file.names, LABEL_COLUMNS) === undefined;
  return labelsOptional && isMissing ? undefined : find(path, file, 'label', labelColumn, LABEL_COLUMNS);
}

/** The columns of a usual pair, where no other column is a usual one for texts. */
function usualPair(columns: readonly string[]): [string, string] | undefined {
  for (const [first, second] of PAIR_COLUMNS) {
    const text = usualColumn(columns, [first]);
    const pair = usualColumn(columns, [second]);
    const others = columns.filter((column) => column !== text && column !== pair);
    if (text !== undefined && pair !== undefined && usualColumn(others, TEXT_COLUMNS) === undefined)
      return [text, pair];
  }
  return undefined;
}

/** Whether a name is one that columns of texts or of labels usually have, whatever its case. */
export function isUsualColumn(name: string): boolean {
  return [...TEXT_COLUMNS, ...PAIR_COLUMNS.flat(), ...LABEL_COLUMNS].includes(name.toLowerCase());
}

function usualColumn(columns: readonly string[], usual: readonly string[]): string | undefined {
  return usual
    .map((name) => columns.find((column) => column.toLowerCase() === name))
    .find((name) => name !== undefined);
}

function find(
  path: string,
  file: FileColumns,
  role: 'text' | 'textPair' | 'label',
  wanted: string | undefined,
  usual: readonly string[],
): string {
  const { names, nested } = file;
  const column = wanted ?? usualColumn(names, usual);
  if (column === undefined) {
    throw missing(path, file, `a ${role} column (one of ${usual.join(', ')})`, `name it with ${role}Column`);
  }
  const inside = nested.filter((each) => each.startsWith(`${column}.`));
  if (nested.includes(column) || (names.includes(column) && inside.length === 0)) return column;
  if (inside.length > 0) {
    throw missing(path, file, `a plain column ${column}`, `name one of ${inside.join(', ')} with ${role}Column`);
  }
  const near = nearest(column, [...names, ...nested]);
  const advice = near === undefined ? `name it with ${role}Column` : `did you mean ${near}?`;
  throw missing(path, file, `a column ${column}`, advice);
}

function missing(path: string, file: FileColumns, expected: string, advice: string): BertuneError {
  return new BertuneError('NOT_FOUND', `Expected ${expected} in ${path} but its columns are ${list(file)}: ${advice}`);
}

function list({ names, nested }: FileColumns): string {
  const outer = (column: string) => nested.some((path) => path.startsWith(`${column}.`));
  const plain = names.filter((column) => column !== '' && !outer(column));
  return [...plain, ...nested].map((column) => JSON.stringify(column.slice(0, 60))).join(', ');
}

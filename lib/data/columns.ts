import { BertuneError } from '../errors.js';
import { option } from '../option-names.js';
import { nearest } from '../options.js';
import type { Rows } from './rows.js';
import type { ReadOptions } from './types.js';

const TEXT_COLUMNS = ['text', 'sentence', 'content', 'review', 'comment', 'tweet', 'message', 'document', 'utterance'];
const PAIR_COLUMNS = [
  ['sentence1', 'sentence2'],
  ['premise', 'hypothesis'],
  ['question', 'sentence'],
  ['text1', 'text2'],
  ['question1', 'question2'],
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

/** The columns of a file that matter. */
export interface Columns {
  text: string;
  /** The second text of a pair; undefined for single texts. */
  pair?: string | undefined;
  /** undefined where a file may do without and does. */
  label: string | undefined;
}

/**
 * Chooses the columns of texts and labels. Every file of a split has those of the first.
 *
 * @param path the file, for messages
 * @param columns what the file has
 * @param rows of the split; keeps the columns
 * @param options the columns' exact names, where the caller knows them
 * @returns the chosen names; unless given, the first usual one that is there, whatever its case
 * @throws BertuneError NOT_FOUND, listing the file's columns, when there is no such column; INVALID_DATA when the first
 *   file of the split has others
 */
export function chooseColumns(path: string, columns: readonly string[], rows: Rows, options: ReadOptions): Columns {
  const { columns: first } = rows;
  if (first === undefined) {
    rows.columns = choose(path, columns, options);
    return rows.columns;
  }
  const missing = [first.text, first.pair, first.label].find((name) => name !== undefined && !columns.includes(name));
  if (missing === undefined) return first;
  throw new BertuneError(
    'INVALID_DATA',
    `Expected the column ${missing} in ${path}, as in ${rows.sources[0]}, but its columns are ${list(columns)}`,
  );
}

function choose(path: string, columns: readonly string[], options: ReadOptions): Columns {
  const { textColumn, textPairColumn, labelColumn, labelsOptional } = options;
  const optional = labelsOptional && labelColumn === undefined && usualColumn(columns, LABEL_COLUMNS) === undefined;
  const label = () => (optional ? undefined : find(path, columns, 'label', labelColumn, LABEL_COLUMNS));
  if (textPairColumn !== undefined) {
    const pair = find(path, columns, 'textPair', textPairColumn, []);
    const partner = PAIR_COLUMNS.find(([, second]) => second === pair.toLowerCase())?.[0];
    const others = columns.filter((column) => column !== pair);
    const text = find(
      path,
      others,
      'text',
      textColumn,
      partner === undefined ? TEXT_COLUMNS : [partner, ...TEXT_COLUMNS],
    );
    return { text, pair, label: label() };
  }
  const [text, pair] = textColumn === undefined ? (usualPair(columns) ?? []) : [];
  return { text: text ?? find(path, columns, 'text', textColumn, TEXT_COLUMNS), pair, label: label() };
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

function usualColumn(columns: readonly string[], usual: readonly string[]): string | undefined {
  return usual
    .map((name) => columns.find((column) => column.toLowerCase() === name))
    .find((name) => name !== undefined);
}

function find(
  path: string,
  columns: readonly string[],
  role: 'text' | 'textPair' | 'label',
  wanted: string | undefined,
  usual: readonly string[],
): string {
  const found = wanted === undefined ? usualColumn(columns, usual) : columns.find((column) => column === wanted);
  if (found !== undefined) return found;
  const near = wanted === undefined ? undefined : nearest(wanted, columns);
  const advice = near === undefined ? `name it with ${option(`${role}Column`)}` : `did you mean ${near}?`;
  const expected = wanted === undefined ? `a ${role} column (one of ${usual.join(', ')})` : `a column ${wanted}`;
  throw new BertuneError(
    'NOT_FOUND',
    `Expected ${expected} in ${path} but its columns are ${list(columns)}: ${advice}`,
  );
}

function list(columns: readonly string[]): string {
  return columns.map((column) => JSON.stringify(column.slice(0, 60))).join(', ');
}

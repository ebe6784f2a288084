import { BertuneError } from '../errors.js';
import { nearest } from '../options.js';
import type { DatasetOptions } from './types.js';

const TEXT_COLUMNS = ['text', 'sentence', 'content', 'review', 'comment', 'tweet', 'message', 'document', 'utterance'];
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
  label: string;
}

/**
 * Chooses the columns of the texts and the labels.
 *
 * @param path the file, for messages
 * @param columns what the file has
 * @param options `textColumn` and `labelColumn`, where the caller knows them; exact names
 * @returns the chosen names; unless given, the first usual one that is there, whatever its case
 * @throws NOT_FOUND, listing the file's columns, when there is no such column
 */
export function chooseColumns(path: string, columns: readonly string[], options: DatasetOptions): Columns {
  return {
    text: choose(path, columns, 'text', options.textColumn, TEXT_COLUMNS),
    label: choose(path, columns, 'label', options.labelColumn, LABEL_COLUMNS),
  };
}

function choose(
  path: string,
  columns: readonly string[],
  role: 'text' | 'label',
  wanted: string | undefined,
  usual: readonly string[],
): string {
  const found =
    wanted === undefined
      ? usual.map((name) => columns.find((column) => column.toLowerCase() === name)).find((name) => name !== undefined)
      : columns.find((column) => column === wanted);
  if (found !== undefined) return found;

  const listed = columns.map((column) => JSON.stringify(column.slice(0, 60))).join(', ');
  const near = wanted === undefined ? undefined : nearest(wanted, columns);
  const advice = near === undefined ? `name it with ${role}Column` : `did you mean ${near}?`;
  const expected = wanted === undefined ? `a ${role} column (one of ${usual.join(', ')})` : `a column ${wanted}`;
  throw new BertuneError('NOT_FOUND', `Expected ${expected} in ${path} but its columns are ${listed}: ${advice}`);
}

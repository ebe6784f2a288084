import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { nearest } from '../options/validation.js';
import type { Columns, DataRecord, FileColumns, TextColumns } from './records.js';
import type { Rows } from './rows.js';
import type { ReadOptions } from './types.js';

const TEXT_COLUMNS = [
  'text',
  'sentence',
  'content',
  'review',
  'comment',
  'tweet',
  'message',
  'document',
  'utterance',
  'review_text',
  'review_body',
  'reviewtext',
  'comment_text',
  'tweet_text',
  'full_text',
  'phrase',
  'headline',
  'body',
  'description',
  'query',
  'sms',
  'v2',
];
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
  'class_label',
  'gold_label',
  'star_rating',
  'stars',
  'rating',
  'overall',
  'polarity',
  'is_spam',
  'spam',
  'v1',
];

/** Columns that are about a row, and are no classes. */
const ABOUT_ROWS = /^(|id|idx|index|key|nr|no|row|guid|uuid|url|link|date|time|timestamp|user|author|.*[_ ]id)$/i;

/** How many of the usual names a message has. */
const LISTED_NAMES = 8;

/**
 * Chooses the columns of texts and labels. Every file of a split has those of the first.
 *
 * @param path the file, for messages
 * @param file what the file has
 * @param rows of the split; keeps the columns, and a note on what was chosen by more than names
 * @param options the columns' exact names, where the caller knows them
 * @returns the chosen names; unless given, the first usual one that is there, whatever its case; of two columns, the one
 *   beside it; of two that are only numbered, for the labels the one that says the same most often
 * @throws BertuneError NOT_FOUND, listing the file's columns, when there is no such column; INVALID_DATA when the first
 *   file of the split has others
 */
export function chooseColumns(path: string, file: FileColumns, rows: Rows, options: ReadOptions): Columns {
  const { columns: first } = rows;
  if (first === undefined) {
    const two = chooseOfTwo(file, options);
    if (two !== undefined) {
      const [text, label] = [two.text, two.label].map((name) => JSON.stringify(name));
      rows.notes.push(`${path} has two columns: ${text} was taken for the texts, ${label} for the labels.`);
    }
    rows.columns =
      two ?? (options.labelColumns ? chooseWithSeveral(path, file, options) : chooseWithOne(path, file, options));
    return rows.columns;
  }
  const there = [...file.names, ...file.nested];
  const needed = [first.text, first.pair, first.label, ...(first.labels ?? [])];
  const missing = needed.find((name) => name !== undefined && !there.includes(name));
  if (missing === undefined) return first;
  throw new BertuneError(
    'INVALID_DATA',
    `Expected the column ${missing} in ${path}, as in ${rows.sources[0]}, but its columns are ${list(file)}`,
  );
}

function chooseWithOne(path: string, file: FileColumns, options: ReadOptions): Columns {
  return {
    ...chooseTextColumns(path, file, options, options.labelColumn === undefined && !options.labelsOptional),
    label: chooseLabelColumn(path, file, options),
  };
}

/** Columns of texts beside a column for each label. */
function chooseWithSeveral(path: string, file: FileColumns, options: ReadOptions): Columns {
  const wanted = options.labelColumns!;
  const isMissing = !wanted.some((name) => [...file.names, ...file.nested].includes(name));
  const labels =
    options.labelsOptional && isMissing ? undefined : wanted.map((name) => find(path, file, 'labels', name, []));
  const others = { ...file, names: file.names.filter((name) => !wanted.includes(name)) };
  return { ...chooseTextColumns(path, others, options), label: undefined, labels };
}

/**
 * Chooses the columns of texts.
 *
 * @param path the file, for messages
 * @param file what the file has
 * @param options the columns' exact names, where the caller knows them
 * @param needsLabel whether to look for a column of labels that was not named. Defaults to false
 * @returns the chosen names; unless given, the first usual one that is there, or a usual pair
 * @throws BertuneError NOT_FOUND, listing the file's columns
 */
export function chooseTextColumns(
  path: string,
  file: FileColumns,
  { textColumn, textPairColumn }: Pick<ReadOptions, 'textColumn' | 'textPairColumn'>,
  needsLabel = false,
): TextColumns {
  if (textPairColumn !== undefined) {
    const pair = find(path, file, 'textPair', textPairColumn, []);
    const partner = PAIR_COLUMNS.find(([, second]) => second === pair.toLowerCase())?.[0];
    const others = { ...file, names: file.names.filter((column) => column !== pair) };
    const usual = partner === undefined ? TEXT_COLUMNS : [partner, ...TEXT_COLUMNS];
    return { text: find(path, others, 'text', textColumn, usual), pair };
  }
  const [text, pair] = textColumn === undefined ? (usualPair(file.names) ?? []) : [];
  return { text: text ?? find(path, file, 'text', textColumn, TEXT_COLUMNS, needsLabel), pair };
}

/** Both columns of a file that has no others, where names tell at most one of them; undefined where they tell both, or none. */
function chooseOfTwo(file: FileColumns, options: ReadOptions): Columns | undefined {
  const { names, nested, sample } = file;
  const plain = names.filter((name) => name !== '');
  if (plain.length !== 2 || nested.length > 0) return undefined;
  if (options.textPairColumn !== undefined || options.labelColumns !== undefined) return undefined;
  const text = options.textColumn ?? usualColumn(plain, TEXT_COLUMNS);
  const label = options.labelColumn ?? usualColumn(plain, LABEL_COLUMNS);
  const beside = (column: string) => {
    const other = plain.find((name) => name !== column);
    return plain.includes(column) && other !== undefined && !ABOUT_ROWS.test(other) ? other : undefined;
  };
  if (text !== undefined && label === undefined) {
    const other = beside(text);
    return other === undefined ? undefined : { text, label: other };
  }
  if (label !== undefined && text === undefined) {
    const other = beside(label);
    return other === undefined ? undefined : { text: other, label };
  }
  if (text !== undefined || sample === undefined) return undefined;
  const [first, second] = plain.map((name) => variety(name, sample)) as [Variety, Variety];
  if (first.distinct === second.distinct) return undefined;
  const [few, many] = first.distinct < second.distinct ? [first, second] : [second, first];
  return few.characters < many.characters ? { text: many.name, label: few.name } : undefined;
}

/** How many values a column has. */
interface Variety {
  readonly name: string;
  readonly distinct: number;
  /** Of all values together. */
  readonly characters: number;
}

function variety(name: string, sample: readonly DataRecord[]): Variety {
  const values = sample.map((record) => String(record.get(name)).trim());
  return { name, distinct: new Set(values).size, characters: values.join('').length };
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
  role: 'text' | 'textPair' | 'label' | 'labels',
  wanted: string | undefined,
  usual: readonly string[],
  needsLabel = false,
): string {
  const { names, nested } = file;
  const flag = option(role === 'labels' ? 'labelColumns' : `${role}Column`);
  const column = wanted ?? usualColumn(names, usual);
  if (column === undefined) {
    const some = usual.slice(0, LISTED_NAMES).join(', ');
    const both = role === 'text' && needsLabel && usualColumn(names, LABEL_COLUMNS) === undefined;
    const ways = both ? `name both with ${flag} and ${option('labelColumn')}` : `name it with ${flag}`;
    const labels = LABEL_COLUMNS.slice(0, LISTED_NAMES).join(', ');
    const alsoLabel = both ? ` and a label column (${labels}, ...)` : '';
    throw missing(path, file, `a ${role} column (${some}, ...)${alsoLabel}`, `${ways}${headerAdvice(file)}`);
  }
  const inside = nested.filter((each) => each.startsWith(`${column}.`));
  if (nested.includes(column) || (names.includes(column) && inside.length === 0)) return column;
  if (inside.length > 0) {
    throw new BertuneError(
      'NOT_FOUND',
      `The column ${column} in ${path} holds columns of its own: name one of ${inside.join(', ')} with ${flag}`,
    );
  }
  // Numbers that are alike are other columns.
  const near = file.sample === undefined ? nearest(column, [...names, ...nested]) : undefined;
  const advice = near === undefined ? `name it with ${flag}` : `did you mean ${near}?`;
  throw missing(path, file, `a column ${column}`, advice);
}

/** What to do where the first line is a row like any other. */
function headerAdvice({ names, isHeader }: FileColumns): string {
  const isLikeRow = names.some((name) => /^-?\d+([.,]\d+)?$/.test(name) || name.split(/\s+/).length > 3);
  return isHeader && isLikeRow
    ? `, or, if the first line is a row already, read the file with ${option('header', false)}`
    : '';
}

function missing(path: string, file: FileColumns, expected: string, advice: string): BertuneError {
  return new BertuneError('NOT_FOUND', `Expected ${expected} in ${path} but its columns are ${list(file)}: ${advice}`);
}

function list({ names, nested }: FileColumns): string {
  const outer = (column: string) => nested.some((path) => path.startsWith(`${column}.`));
  const plain = names.filter((column) => column !== '' && !outer(column));
  return [...plain, ...nested].map((column) => JSON.stringify(column.slice(0, 60))).join(', ');
}

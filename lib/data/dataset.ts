import { resolve } from 'node:path';
import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import {
  copyArray,
  expectAbortSignal,
  expectBoolean,
  expectFunction,
  expectNames,
  expectObject,
  expectOneOf,
  expectString,
  invalidOption,
  isArray,
} from '../options/validation.js';
import { TASK_KINDS, type TaskKind, taskOf, usualTask } from '../tasks/index.js';
import { atOnce, inSlices, type Slices } from '../time-slice.js';
import { expectEncoding } from './encoding.js';
import { readExamples } from './examples.js';
import { expectHoldout, expectSplitOptions, holdOut, takeSplits } from './holdout.js';
import { Rows } from './rows.js';
import { type DatasetFiles, type FoundFiles, findFiles } from './source.js';
import { type TargetOptions, targetsOf } from './targets.js';
import {
  type DatasetOptions,
  type DatasetWith,
  QUOTINGS,
  SPLIT_NAMES,
  type SplitName,
  type TextDataset,
} from './types.js';

export type { DatasetFiles } from './source.js';
export type {
  DatasetOptions,
  DatasetWith,
  HeldOut,
  HeldOutName,
  HoldoutOptions,
  Quoting,
  Split,
  SplitName,
  SplitOptions,
  TextDataset,
} from './types.js';

/** One example in memory. */
export interface TextRow {
  text: string;
  /** The second text of a pair: in all rows, or in none. */
  pair?: string | undefined;
  /**
   * The name or index of a class; for multi-label a list of them, which may be empty; for regression a number, or a list of
   * numbers.
   */
  label: string | number | readonly (string | number)[];
}

/** Examples of each split. */
type RowsBySplit = Readonly<Partial<Record<SplitName, readonly TextRow[] | undefined>>>;

/** The names in a list that is written out; of one made at run time nothing is known. */
type Known<Names extends readonly SplitName[]> = number extends Names['length'] ? never : Names[number];

/** The splits that an object names, not perhaps but surely. */
type Given<Splits> = {
  [Name in SplitName]: Name extends keyof Splits ? (undefined extends Splits[Name] ? never : Name) : never;
}[SplitName];

/**
 * Reads a data set for text classification, of single texts or of pairs.
 *
 * Files are .csv, .tsv or .txt (a header line; columns separated by comma, semicolon, bar or tab, quoted as in RFC 4180),
 * .jsonl or .ndjson (one JSON object per line) or .json (an array of objects, alone or in an object, or JSON lines), all in
 * UTF-8 or the given `encoding` and optionally compressed with gzip (.csv.gz), or .parquet. A nested column is named by its
 * path, `review.body`. A folder's splits are those that the configuration of its card (README.md) lists, or else the files or
 * folders named `train`, `validation` (or `valid`, `val`, `dev`) and `test`, or parts such as
 * `data/train-00000-of-00002.parquet`. Labels are names, numbers or booleans. Empty texts are kept. If a folder's test split
 * has no labels (null or −1), it is left out, with a note. Files are read in pieces, Parquet by row groups, and the event loop
 * runs between them.
 *
 * @param source a folder with at least a training file, one file (which becomes `train`), or the files of the splits
 * @param given columns, delimiter, classes, configuration, splits to hold out
 * @throws NOT_FOUND: no such file, folder, split, column or configuration · INVALID_DATA: not UTF-8, an open quote, a row
 *   with too few or too many columns, broken JSON or Parquet, an unknown or empty label, a file without rows; with the
 *   line or row · INVALID_OPTION · ABORTED
 */
export async function loadDataset<const Names extends readonly SplitName[]>(
  source: string | DatasetFiles,
  given: DatasetOptions & { splits: Names },
): Promise<DatasetWith<Known<Names>>>;
/** A folder, a file or an id always has a training split. */
export async function loadDataset(
  source: string,
  given?: DatasetOptions & { splits?: undefined },
): Promise<DatasetWith<'train'>>;
/** Files give the splits that they are named for. */
export async function loadDataset<Files extends DatasetFiles>(
  source: Files,
  given?: DatasetOptions & { splits?: undefined },
): Promise<DatasetWith<Given<Files>>>;
/** If the source is known only at run time, any split may be missing. */
export async function loadDataset(source: string | DatasetFiles, given?: DatasetOptions): Promise<TextDataset>;
export async function loadDataset(source: string | DatasetFiles, given: DatasetOptions = {}): Promise<TextDataset> {
  return readDataset(source, given);
}

/**
 * loadDataset for a task that is not the caller's wish.
 *
 * @param taskReason why `task` is what it is, in words that begin a sentence, for messages about labels that are others
 */
export async function readDataset(
  source: string | DatasetFiles,
  given: DatasetOptions,
  taskReason?: string,
): Promise<TextDataset> {
  const options = { ...checkOptions(given, taskReason), ...(taskReason !== undefined && { taskReason }) };
  const found = await findFiles(source, options);
  const raw: Partial<Record<SplitName, Rows>> = {};
  const notes: string[] = [];
  for (const name of options.splits ?? SPLIT_NAMES) {
    if (found.files[name].length === 0) {
      if (!options.splits) continue;
      const where = typeof source === 'string' ? source : Object.values(source).flat().join(', ');
      throw new BertuneError('NOT_FOUND', `Expected a ${name} split in ${where} but found none`);
    }
    const rows = await readSplit(found, name, options);
    if (!rows.isUnlabelled) raw[name] = rows;
    else if (found.discovered && name === 'test') notes.push(`the test split (${rows.source}) has no labels: left out`);
    else throw new BertuneError('INVALID_DATA', `Expected labels in ${rows.source} but all rows are without`);
  }
  return inSlices(divide(assemble(raw, options, notes), options), options.signal);
}

/**
 * Makes a data set from examples in memory, by the rules of `loadDataset`.
 *
 * @param splits the rows of each split; at least one split
 * @param options `labels`: the classes, in order. Defaults to those of the training rows. `task`: what the labels are for.
 *   Defaults to what they look like. `split` or `holdout`: what to hold out of the training rows. Defaults to nothing
 * @throws INVALID_DATA: an unknown or empty label, a text that is not a string, a split without rows · INVALID_OPTION
 */
export function datasetFromRows<Splits extends RowsBySplit>(
  splits: Splits,
  options: Pick<DatasetOptions, 'labels' | 'task' | 'split' | 'holdout'> = {},
): DatasetWith<Given<Splits>> {
  const own = expectObject<RowsBySplit>('splits', splits, SPLIT_NAMES);
  const given = expectObject('options', options, ['labels', 'task', 'split', 'holdout']);
  const labels = given.labels === undefined ? undefined : expectNames('labels', given.labels);
  const task = given.task === undefined ? undefined : expectOneOf('task', given.task, TASK_KINDS);
  const division = expectDivision(given);
  const raw: Partial<Record<SplitName, Rows>> = {};
  for (const name of SPLIT_NAMES) {
    const rows = own[name];
    if (rows !== undefined) raw[name] = collectRows(name, rows, task);
  }
  if (Object.keys(raw).length === 0) throw invalidOption('splits', 'rows for train, validation or test', splits);
  return atOnce(divide(assemble(raw, { labels, task }, []), division)) as DatasetWith<Given<Splits>>;
}

type Division = Pick<DatasetOptions, 'split' | 'holdout'>;

/** The checked options on what is taken out of the training rows. */
function expectDivision({ split, holdout }: Division): Division {
  if (split !== undefined && holdout) {
    throw new BertuneError('INVALID_OPTION', `Set either ${option('split')} or ${option('holdout')}, not both`);
  }
  return {
    ...(split !== undefined && { split: expectSplitOptions(split) }),
    ...(holdout !== undefined && { holdout: expectHoldout(holdout) }),
  };
}

function* divide(data: TextDataset, { split, holdout = false }: Division): Slices<TextDataset> {
  if (split !== undefined) return yield* takeSplits(data, split);
  return holdout === false ? data : yield* holdOut(data, holdout === true ? {} : holdout);
}

function checkOptions(given: DatasetOptions, taskReason?: string): DatasetOptions {
  const texts = ['textColumn', 'textPairColumn', 'labelColumn', 'labelSeparator', 'config'] as const;
  const options = expectObject('options', given, [
    ...texts,
    'labelColumns',
    'task',
    'encoding',
    'header',
    'skipInvalid',
    'delimiter',
    'quoting',
    'labels',
    'splits',
    'split',
    'holdout',
    'signal',
    'onProgress',
  ]);
  const { encoding, header, skipInvalid, delimiter, quoting, labels, splits, holdout, signal, onProgress } = options;
  for (const name of texts) if (options[name] !== undefined) expectString(name, options[name]);
  const labelColumns = expectLabelSource(options, taskReason);
  if (signal !== undefined) expectAbortSignal('signal', signal);
  if (onProgress !== undefined) expectFunction('onProgress', onProgress);
  if (splits !== undefined && holdout) {
    throw new BertuneError('INVALID_OPTION', `Set either ${option('splits')} or ${option('holdout')}, not both`);
  }
  for (const name of splits === undefined ? [] : expectNames('splits', splits))
    expectOneOf('splits', name, SPLIT_NAMES);
  if (delimiter !== undefined && (typeof delimiter !== 'string' || !/^[^"\r\n]$/.test(delimiter))) {
    throw invalidOption('delimiter', 'one character other than a quote or a line end', delimiter);
  }
  for (const [name, value] of Object.entries({ header, skipInvalid })) {
    if (value !== undefined) expectBoolean(name, value);
  }
  if (quoting !== undefined) expectOneOf('quoting', quoting, QUOTINGS);
  return {
    ...options,
    ...(encoding !== undefined && { encoding: expectEncoding('encoding', encoding) }),
    ...(labels !== undefined && { labels: expectNames('labels', labels) }),
    ...(labelColumns !== undefined && { labelColumns }),
    ...expectDivision(options),
  };
}

/**
 * Checks the options on where labels are and what they are for.
 *
 * @returns a copy of the columns
 */
function expectLabelSource(
  { task, labelColumn, labelColumns, labelSeparator }: DatasetOptions,
  taskReason: string | undefined,
): string[] | undefined {
  if (task !== undefined) expectOneOf('task', task, TASK_KINDS);
  const columns = labelColumns === undefined ? undefined : expectNames('labelColumns', labelColumns);
  const ways = Object.entries({ labelColumn, labelColumns, labelSeparator }).flatMap(([name, value]) =>
    value === undefined ? [] : [option(name)],
  );
  if (columns !== undefined && ways.length > 1) {
    const [other] = ways.filter((way) => way !== option('labelColumns'));
    throw new BertuneError('INVALID_OPTION', `Set either ${option('labelColumns')} or ${other}, not both`);
  }
  const several = ways.find((way) => way !== option('labelColumn'));
  if (several !== undefined && task !== undefined && taskOf(task).labels === 'class') {
    const one = taskReason ?? `${option('task', task)} takes one label a row`;
    throw new BertuneError(
      'INVALID_OPTION',
      `${one}, and ${several} is for several: leave it out, or set ${option('task', usualTask('classes'))}`,
    );
  }
  return columns;
}

async function readSplit(
  { files, discovered, classNames }: FoundFiles,
  name: SplitName,
  options: DatasetOptions,
): Promise<Rows> {
  const rows = new Rows();
  const seen = new Set<string>();
  for (const path of files[name]) {
    if (seen.has(resolve(path)))
      throw new BertuneError('INVALID_DATA', `Expected ${path} once in ${name} but found it twice`);
    seen.add(resolve(path));
    await readExamples(path, rows, { ...options, labelsOptional: discovered && name === 'test' });
    const column = rows.columns?.label;
    rows.end(column === undefined ? undefined : classNames?.(column), { ...options, asWritten: areAsWritten(options) });
  }
  rows.finish();
  return rows;
}

/** Whether labels are names of columns, or numbers by themselves. */
function areAsWritten({ task, labelColumns }: DatasetOptions): boolean {
  return labelColumns !== undefined || (task !== undefined && taskOf(task).labels === 'values');
}

function collectRows(name: SplitName, rows: readonly TextRow[], task: TaskKind | undefined): Rows {
  if (!isArray(rows)) throw invalidOption(`splits.${name}`, 'an array of { text, label }', rows);
  const collected = new Rows();
  const kind = task && taskOf(task).labels;
  collected.begin(`the ${name} rows`, 'index');
  const isPair = (rows[0] as Partial<TextRow> | undefined)?.pair !== undefined;
  const { length } = rows;
  for (let index = 0; index < length; index++) {
    const row: unknown = rows[index];
    const { text, pair, label } = (row ?? {}) as Partial<TextRow>;
    const written = isArray(label) ? writtenLabels(label) : writtenLabel(label);
    const isWhole = typeof text === 'string' && typeof pair === (isPair ? 'string' : 'undefined');
    if (!isWhole || written === undefined) {
      const expected = isPair ? '{ text, pair, label }' : '{ text, label }';
      throw new BertuneError('INVALID_DATA', `Expected ${expected} in ${collected.source} at index ${index}`);
    }
    const asList = typeof written === 'string' && kind === 'classes' ? [written] : written;
    if (collected.areLists === (typeof asList === 'string')) {
      const expected = collected.areLists ? 'a list of labels' : 'one label';
      throw new BertuneError(
        'INVALID_DATA',
        `Expected ${expected} in ${collected.source} at index ${index}, as in the rows before`,
      );
    }
    collected.add(text, asList, index, pair);
  }
  if (collected.areLists && kind === 'class') {
    throw new BertuneError(
      'INVALID_DATA',
      `Found lists of labels in ${collected.source}: give each row one label, or set ${option('task', usualTask('classes'))}`,
    );
  }
  collected.end(undefined, { asWritten: areAsWritten({ task }) });
  return collected;
}

/** A label in memory as one that is read; undefined for what is none. */
function writtenLabel(label: unknown): string | undefined {
  const written = typeof label === 'number' && Number.isFinite(label) ? String(label) : label;
  return typeof written === 'string' && written.trim() !== '' ? written : undefined;
}

/** The same for a list of them; undefined where one of them is none. */
function writtenLabels(labels: readonly unknown[]): string[] | undefined {
  const { items, odd } = copyArray(labels, (label): label is string | number => writtenLabel(label) !== undefined);
  return odd < 0 ? items.map((label) => writtenLabel(label)!) : undefined;
}

/** Gives all splits one task and one list of labels. */
function assemble(
  raw: Partial<Record<SplitName, Rows>>,
  options: TargetOptions,
  notes: readonly string[],
): TextDataset {
  const present = SPLIT_NAMES.flatMap((name) => (raw[name] === undefined ? [] : [{ name, split: raw[name] }]));
  const splits = present.map(({ split }) => split);
  const [first] = splits;
  if (first === undefined) throw new BertuneError('INVALID_DATA', `Expected rows but found none: ${notes.join('; ')}`);
  for (const split of splits) {
    if (split.pairs.length > 0 === first.pairs.length > 0) continue;
    const [pairs, single] = first.pairs.length > 0 ? [first, split] : [split, first];
    throw new BertuneError('INVALID_DATA', `Expected pairs of texts in ${single.source}, as in ${pairs.source}`);
  }
  const { task, labelNames, labels, notes: labelNotes } = targetsOf(splits, raw.train !== undefined, options);
  const allNotes = [...notes, ...splits.flatMap((split) => split.notes), ...labelNotes];
  return {
    task,
    labels: labelNames,
    ...Object.fromEntries(
      present.map(({ name, split }, i) => {
        const { texts, pairs, source } = split;
        return [
          name,
          { name, texts, ...(pairs.length > 0 && { pairs }), task, labels: labels[i]!, labelNames, source },
        ];
      }),
    ),
    ...(allNotes.length > 0 && { notes: allNotes }),
  };
}

import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { type TaskKind, taskOf, usualTask } from '../tasks/index.js';
import { genericLabels, likelyLabels, listLabels, matchLabels } from '../tasks/labels.js';
import { isInteger, isNumber, isReal, type Rows } from './rows.js';
import type { DatasetOptions, Split } from './types.js';

/** The labels of every split as its task has them. */
export interface Targets {
  readonly task: TaskKind;
  readonly labelNames: readonly string[];
  /** Of each split, as in Split. */
  readonly labels: Split['labels'][];
  /** How they were read where that is not plain, in sentences. */
  readonly notes: readonly string[];
}

/** What is known of labels beside the rows. */
export interface TargetOptions extends Pick<DatasetOptions, 'task' | 'labels' | 'labelColumns' | 'labelSeparator'> {
  /** Why the task is `task`, in words. Defaults to the caller's wish. */
  taskReason?: string | undefined;
}

/**
 * Turns labels as they are written into those of a task: that which is asked for, or else what the labels say.
 *
 * @param splits all splits of the data set, so that they are read the same way
 * @param training whether the first of them is the training split, which says what the classes are
 * @throws BertuneError INVALID_DATA for a label that is not known or no number; with its file, line and value
 */
export function targetsOf(splits: readonly Rows[], training: boolean, options: TargetOptions): Targets {
  expectOneKind(splits);
  const { task, notes } = chooseTask(splits, options);
  if (taskOf(task).labels === 'values') return { task, notes, ...valuesOf(splits, { ...options, task }) };
  const { labels: given, labelColumns } = options;
  const classes = given ?? splits[0]!.classes ?? labelColumns ?? impliedClasses(training ? splits.slice(0, 1) : splits);
  const { tables, notes: read } = labelIndices(splits, classes, { given: given !== undefined });
  const areLists = taskOf(task).labels === 'classes';
  const labels = splits.map((split, i) =>
    areLists ? indicators(split, tables[i]!, classes.length) : split.labels.map((label) => tables[i]![label]!),
  );
  return { task, labelNames: [...classes], labels, notes: [...notes, ...read] };
}

/** @throws BertuneError INVALID_DATA where one split has lists of labels and another has not */
function expectOneKind(splits: readonly Rows[]): void {
  const [first, ...others] = splits;
  const other = others.find(({ areLists }) => areLists !== first!.areLists);
  if (other === undefined) return;
  const [lists, single] = first!.areLists ? [first!, other] : [other, first!];
  throw new BertuneError(
    'INVALID_DATA',
    `Expected lists of labels in ${single.source}, as in ${lists.source}, but found one label a row: write all labels as ` +
      `lists, or set ${option('task', usualTask('classes'))}`,
  );
}

/** The task of some rows and, if it was not asked for, the reason for it. */
function chooseTask(
  splits: readonly Rows[],
  { task, taskReason, labels, labelColumns, labelSeparator }: TargetOptions,
): { task: TaskKind; notes: string[] } {
  const fraction = fractionAmong(splits);
  if (task !== undefined) {
    if (taskReason !== undefined && taskOf(task).labels !== 'values' && fraction !== undefined) {
      throw new BertuneError(
        'INVALID_DATA',
        `${taskReason}, but the labels of ${splits[0]!.source} are numbers, not all of them integers (${fraction}): set ` +
          `${option('task', usualTask('values'))} to train a new head for them, or name another column with ${option('labelColumn')}`,
      );
    }
    return { task, notes: [] };
  }
  if (fraction !== undefined && labels === undefined) {
    const usual = usualTask('values');
    const why = `The labels are numbers, not all of them integers (${fraction}), so the task is ${usual}`;
    return { task: usual, notes: [`${why}; if they are classes, set ${option('task', usualTask('class'))}.`] };
  }
  const areLists = labelColumns !== undefined || labelSeparator !== undefined || splits[0]!.areLists;
  return { task: usualTask(areLists ? 'classes' : 'class'), notes: [] };
}

/** Where all labels are numbers, one of those that are no integers; undefined for other labels. */
function fractionAmong(splits: readonly Rows[]): string | undefined {
  if (!splits.every(({ names }) => names.every(isReal))) return undefined;
  for (const { names } of splits) {
    const fraction = names.find((name) => !Number.isInteger(Number(name)));
    if (fraction !== undefined) return fraction;
  }
  return undefined;
}

/** 1 for each label of a row and 0 for the others (N, NC). */
function indicators(rows: Rows, table: Int32Array, classes: number): Float32Array {
  for (const [i, list] of rows.lists.entries()) expectNoIndicators(rows, list, i);
  const values = new Float32Array(rows.texts.length * classes);
  for (const [row, label] of rows.labels.entries()) {
    for (const name of rows.lists[label]!) values[row * classes + table[name]!] = 1;
  }
  return values;
}

/** Lists that have 0 and 1 for every label look like lists of the classes 0 and 1, but for what they repeat. */
function expectNoIndicators({ names, listPlaces }: Rows, list: Int32Array, index: number): void {
  if (new Set(list).size === list.length) return;
  const written = Array.from(list, (name) => names[name]!);
  if (!written.every((name) => name === '0' || name === '1')) return;
  throw new BertuneError(
    'INVALID_DATA',
    `Expected the labels of a row in ${listPlaces[index]}, but found 0 or 1 for each label ([${listLabels(written)}]): write ` +
      'the names or the indices of those that it has',
  );
}

/** The values of each split (N, NC), and their names. */
function valuesOf(splits: readonly Rows[], options: TargetOptions): { labelNames: string[]; labels: Float32Array[] } {
  const [first] = splits;
  const count = first!.areLists ? first!.lists[0]!.length : 1;
  const column = first!.columns?.label ?? 'label';
  const own = options.labelColumns ?? (first!.areLists ? genericLabels(count) : [column]);
  const labelNames = [...(options.labels ?? own)];
  if (labelNames.length !== count) {
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected ${count} name${count === 1 ? '' : 's'} for ${option('labels')}, one for each value of a row, but received ` +
        `${listLabels(labelNames)}`,
    );
  }
  const labels = splits.map((split) => {
    const numbers = Float64Array.from(split.names, (name, i) => numberOf(name, split.places[i]!, column, options));
    if (!split.areLists) return Float32Array.from(split.labels, (label) => numbers[label]!);
    for (const [i, list] of split.lists.entries()) {
      if (list.length === count) continue;
      throw new BertuneError(
        'INVALID_DATA',
        `Expected ${count} value${count === 1 ? '' : 's'} in ${split.listPlaces[i]}, as in ${first!.listPlaces[0]}, but found ${list.length}`,
      );
    }
    const values = new Float32Array(split.texts.length * count);
    for (const [row, label] of split.labels.entries()) {
      for (const [i, name] of split.lists[label]!.entries()) values[row * count + i] = numbers[name]!;
    }
    return values;
  });
  return { labelNames, labels };
}

function numberOf(
  name: string,
  place: string,
  column: string,
  { task, labelColumns, taskReason }: TargetOptions,
): number {
  const value = isReal(name) ? Math.fround(Number(name)) : Number.NaN;
  if (Number.isFinite(value)) return value;
  const what = labelColumns === undefined ? column : listLabels(labelColumns);
  const advice = labelColumns === undefined ? `; if labels are classes, set ${option('task', usualTask('class'))}` : '';
  throw new BertuneError(
    'INVALID_DATA',
    `Expected a number for ${what} in ${place}, but found ${JSON.stringify(name)}. ${taskReason ?? `The task is ${task}`}: ` +
      `name a column of numbers with ${option(labelColumns === undefined ? 'labelColumn' : 'labelColumns')}${advice}`,
  );
}

/**
 * The classes that rows imply: their distinct labels, numbers by value, names by their characters, as scikit-learn's
 * LabelEncoder orders them.
 */
export function impliedClasses(splits: readonly Rows[]): string[] {
  const distinct = [...new Set(splits.flatMap(({ names }) => names))];
  return distinct.every(isNumber) ? distinct.sort((a, b) => Number(a) - Number(b)) : distinct.sort();
}

/** The classes of the labels of every split. */
export interface LabelIndices {
  /** Of each split, the class of each of its distinct names. */
  tables: Int32Array[];
  /** How labels were read where that is not plain, in sentences. */
  notes: string[];
}

/**
 * Turns labels into indices of `classes`, by name. Integers without names are names as well, unless the caller gives the
 * classes and none of them is one of these: then they are indices of the classes.
 *
 * @param splits all splits of the data set, so that they are read the same way
 * @param classes the names of the classes, in order
 * @param options.given whether the caller gives the classes
 * @throws BertuneError INVALID_DATA for a label that is not known, naming the source, the line, the label and the classes
 */
export function labelIndices(
  splits: readonly Rows[],
  classes: readonly string[],
  { given }: { given: boolean },
): LabelIndices {
  const all = splits.flatMap(({ names, areIntegers }) => names.map((label, i) => ({ label, counts: areIntegers[i]! })));
  const integers = [...new Set(all.flatMap(({ label, counts }) => (counts ? [label] : [])))];
  const isClass = new Set(classes);
  const areIndices = given && integers.length > 0 && !integers.some((label) => isClass.has(label));
  const names = new Set(all.flatMap(({ label, counts }) => (counts && areIndices ? [] : [label])));
  const distinct = [...names];
  const { rows, notes } = matchLabels(distinct, classes, { oneToOne: false });
  const known = new Map(distinct.map((name, i) => [name, rows[i]]));
  const indexOf = (label: string, counts: boolean, place: string) => {
    if (counts && areIndices) {
      const index = Number(label);
      if (index >= 0 && index < classes.length) return index;
      throw unknownLabel(label, place, `an index in 0..${classes.length - 1} of ${listLabels(classes)}`);
    }
    const index = known.get(label);
    if (index !== undefined) return index;
    const advice = counts === classes.every(isInteger) ? likelyLabels([label], classes) : writtenInTwoWays();
    throw unknownLabel(label, place, `one of ${listLabels(classes)}${advice}`);
  };
  const tables = splits.map(({ names, areIntegers, places }) =>
    Int32Array.from(names, (label, i) => indexOf(label, areIntegers[i]!, places[i]!)),
  );
  const read = integers.map((label) => `${label} is ${JSON.stringify(classes[Number(label)])}`);
  return {
    tables,
    notes: areIndices ? [`The labels are integers without names: ${listLabels(read)}.`, ...notes] : notes,
  };
}

const writtenInTwoWays = () =>
  '. The data write their labels in two ways, as names and as integers: say what the integers count with ' +
  `${option('labels')}, the names of 0, 1, … in order`;

function unknownLabel(label: string, place: string, expected: string): BertuneError {
  return new BertuneError('INVALID_DATA', `Unknown label ${JSON.stringify(label)} in ${place}: expected ${expected}`);
}

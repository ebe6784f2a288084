import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { taskOf } from '../tasks/index.js';
import { areNumbers, isIndex, likelyLabels, listLabels, matchLabels } from '../tasks/labels.js';
import { isInteger, isNumber, type Rows } from './rows.js';
import type { Split } from './types.js';

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

/** A split whose labels are a model's. */
export interface AlignedSplit {
  split: Split;
  /** How its labels were matched with the model's, where they differ. */
  notes: readonly string[];
}

/**
 * A split with its labels in the order of a model's, matched by name. In regression, values whose names are others are taken
 * in their own order.
 *
 * @param name of the split, for messages about one that has none of its own
 * @param classes the model's
 * @throws BertuneError INVALID_DATA where examples have labels that the model does not, naming them; in regression, another
 *   number of values
 */
export function alignSplit(name: string, split: Split, classes: readonly string[]): AlignedSplit {
  const kind = taskOf(split.task).labels;
  if (kind === 'values') return alignValues(name, split, classes);
  const { labels, labelNames } = split;
  const { rows, notes } = matchLabels(labelNames, classes);
  const counts = labelCounts(split);
  const missing = labelNames.filter((_, label) => rows[label] === undefined && counts[label]! > 0);
  if (missing.length > 0) {
    throw new BertuneError(
      'INVALID_DATA',
      `The model has no class for the labels ${listLabels(missing)} of ${splitWords(name, split)}; its classes are ` +
        `${listLabels(classes)}${likelyLabels(missing, classes)}${adviceOn(missing, classes)}`,
    );
  }
  const isSame = labelNames.every((_, label) => rows[label] === label);
  const isWhole = kind === 'class' || labelNames.length === classes.length;
  if (isSame && isWhole) return { split: { ...split, labelNames: classes }, notes };
  const aligned =
    kind === 'class'
      ? labels.map((label) => rows[label]!)
      : moveColumns(labels, rows, labelNames.length, classes.length);
  return { split: { ...split, labels: aligned, labelNames: classes }, notes };
}

function alignValues(name: string, split: Split, names: readonly string[]): AlignedSplit {
  const { labels, labelNames } = split;
  if (labelNames.length !== names.length) {
    throw new BertuneError(
      'INVALID_DATA',
      `Expected ${names.length} value${names.length === 1 ? '' : 's'} a row (${listLabels(names)}) in ` +
        `${splitWords(name, split)} but found ${labelNames.length} (${listLabels(labelNames)})`,
    );
  }
  const { rows } = matchLabels(labelNames, names);
  const isSame = rows.includes(undefined) || rows.every((row, label) => row === label);
  const aligned = isSame ? labels : moveColumns(labels, rows, names.length, names.length);
  return { split: { ...split, labels: aligned, labelNames: names }, notes: [] };
}

/** Values (N, from) with each column where it belongs (N, to); columns without a place are left out. */
function moveColumns(
  values: Int32Array | Float32Array,
  places: readonly (number | undefined)[],
  from: number,
  to: number,
): Float32Array {
  const rows = values.length / from;
  const moved = new Float32Array(rows * to);
  for (const [column, place] of places.entries()) {
    if (place === undefined) continue;
    for (let row = 0; row < rows; row++) moved[row * to + place] = values[row * from + column]!;
  }
  return moved;
}

/** How often each label occurs in a split (NC); in regression, every value counts. */
export function labelCounts({ task, labels, labelNames }: Pick<Split, 'task' | 'labels' | 'labelNames'>): Int32Array {
  const counts = new Int32Array(labelNames.length);
  const kind = taskOf(task).labels;
  if (kind === 'class') for (const label of labels) counts[label]! += 1;
  if (kind === 'classes') for (let i = 0; i < labels.length; i++) counts[i % counts.length]! += labels[i]!;
  if (kind === 'values') counts.fill(labels.length / counts.length);
  return counts;
}

function splitWords(name: string, split: Split): string {
  const isNamed = typeof split.name === 'string' && typeof split.source === 'string';
  return isNamed ? `the ${split.name} split (${split.source})` : name;
}

/** What to do about labels that are no classes of the model. */
function adviceOn(missing: readonly string[], classes: readonly string[]): string {
  if (missing.every(isIndex)) {
    return `. Say what the integers count: load the data with ${option('labels')}, the names of 0, 1, … in order`;
  }
  if (areNumbers(classes)) {
    return `. The model's classes have no names: load it with ${option('labels')}, their names in the order of its rows`;
  }
  return '';
}

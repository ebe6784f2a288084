import { BertuneError } from '../errors.js';
import { areNumbers, isIndex, likelyLabels, listLabels, matchLabels } from '../labels.js';
import { isInteger, type Rows } from './rows.js';
import type { Split } from './types.js';

/**
 * The classes that rows imply: their distinct labels, integers by value, names by their characters, as scikit-learn's
 * LabelEncoder orders them.
 */
export function impliedClasses(splits: readonly Rows[]): string[] {
  const distinct = [...new Set(splits.flatMap(({ names }) => names))];
  return distinct.every(isInteger) ? distinct.sort((a, b) => Number(a) - Number(b)) : distinct.sort();
}

/** The classes of the rows of every split. */
export interface LabelIndices {
  /** Of each split (N). */
  indices: Int32Array[];
  /** How labels were read where that is not plain, in sentences. */
  notes: string[];
}

/**
 * Turns labels into indices of `classes`, by name. Integers are indices of the classes that the data name, where they name
 * any. Otherwise they are names as well, unless none of them is one of the classes: then they are indices of these.
 *
 * @param splits all splits of the data set, so that they are read the same way
 * @param classes the names of the classes, in order
 * @param named the classes that the data name themselves; undefined where they name none
 * @throws BertuneError INVALID_DATA for a label that is not known, naming the source, the line, the label and the classes
 */
export function labelIndices(
  splits: readonly Rows[],
  classes: readonly string[],
  named?: readonly string[],
): LabelIndices {
  const written = [...new Set(splits.flatMap(({ names }) => names))];
  const integers = written.every(isInteger);
  const isClass = new Set(classes);
  const areIndices = integers && named === undefined && !written.some((label) => isClass.has(label));
  const counted = integers ? (named ?? (areIndices ? classes : undefined)) : undefined;
  /** undefined: an integer that counts nothing. */
  const names = new Map(written.map((label) => [label, counted ? counted[Number(label)] : label]));
  const distinct = [...new Set(names.values())].filter((name) => name !== undefined);
  const { rows, notes } = matchLabels(distinct, classes, { oneToOne: false });
  const known = new Map(distinct.map((name, i) => [name, rows[i]]));
  const indexOf = (label: string, place: string) => {
    const name = names.get(label);
    if (name === undefined)
      throw unknownLabel(label, place, `an index in 0..${counted!.length - 1} of ${listLabels(counted!)}`);
    const index = known.get(name);
    if (index !== undefined) return index;
    throw unknownLabel(name, place, `one of ${listLabels(classes)}${likelyLabels([name], classes)}`);
  };
  const indices = splits.map((split) => {
    const table = split.names.map((label, i) => indexOf(label, split.places[i]!));
    return split.labels.map((label) => table[label]!);
  });
  const read = written.map((label) => `${label} is ${JSON.stringify(names.get(label))}`);
  return {
    indices,
    notes: areIndices ? [`The labels are integers without names: ${listLabels(read)}.`, ...notes] : notes,
  };
}

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
 * A split with its labels as indices of a model's classes, matched by name.
 *
 * @param name of the split, for messages
 * @param classes the model's
 * @throws BertuneError INVALID_DATA where examples have labels that the model does not, naming them
 */
export function alignSplit(name: string, split: Split, classes: readonly string[]): AlignedSplit {
  const { labels, labelNames } = split;
  const { rows, notes } = matchLabels(labelNames, classes);
  const occurring = new Set(labels);
  const missing = labelNames.filter((_, label) => rows[label] === undefined && occurring.has(label));
  if (missing.length > 0) {
    throw new BertuneError(
      'INVALID_DATA',
      `The model has no class for the labels ${listLabels(missing)} of ${name}; its classes are ${listLabels(classes)}` +
        `${likelyLabels(missing, classes)}${adviceOn(missing, classes)}`,
    );
  }
  const isSame = labelNames.every((_, label) => rows[label] === label);
  const aligned = isSame ? labels : labels.map((label) => rows[label]!);
  return { split: { ...split, labels: aligned, labelNames: classes }, notes };
}

/** What to do about labels that are no classes of the model. */
function adviceOn(missing: readonly string[], classes: readonly string[]): string {
  if (missing.every(isIndex)) {
    return '. Say what the integers count: load the data with labels, the names of 0, 1, … in order (--labels)';
  }
  if (areNumbers(classes)) {
    return ". The model's classes have no names: load it with labels, their names in the order of its rows (--labels)";
  }
  return '';
}

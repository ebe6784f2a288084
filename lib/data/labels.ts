import { BertuneError } from '../errors.js';
import { areNumbers, isIndex, likelyLabels, listLabels, matchLabels } from '../labels.js';
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

/** The classes of the rows of every split. */
export interface LabelIndices {
  /** Of each split (N). */
  indices: Int32Array[];
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
    const advice = counts === classes.every(isInteger) ? likelyLabels([label], classes) : WRITTEN_IN_TWO_WAYS;
    throw unknownLabel(label, place, `one of ${listLabels(classes)}${advice}`);
  };
  const indices = splits.map((split) => {
    const table = split.names.map((label, i) => indexOf(label, split.areIntegers[i]!, split.places[i]!));
    return split.labels.map((label) => table[label]!);
  });
  const read = integers.map((label) => `${label} is ${JSON.stringify(classes[Number(label)])}`);
  return {
    indices,
    notes: areIndices ? [`The labels are integers without names: ${listLabels(read)}.`, ...notes] : notes,
  };
}

const WRITTEN_IN_TWO_WAYS =
  '. The data write their labels in two ways, as names and as integers: say what the integers count with labels, the ' +
  'names of 0, 1, … in order (--labels)';

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
 * @param name of the split, for messages about one that has none of its own
 * @param classes the model's
 * @throws BertuneError INVALID_DATA where examples have labels that the model does not, naming them
 */
export function alignSplit(name: string, split: Split, classes: readonly string[]): AlignedSplit {
  const { labels, labelNames } = split;
  const { rows, notes } = matchLabels(labelNames, classes);
  const occurring = new Set(labels);
  const missing = labelNames.filter((_, label) => rows[label] === undefined && occurring.has(label));
  if (missing.length > 0) {
    const isNamed = typeof split.name === 'string' && typeof split.source === 'string';
    const where = isNamed ? `the ${split.name} split (${split.source})` : name;
    throw new BertuneError(
      'INVALID_DATA',
      `The model has no class for the labels ${listLabels(missing)} of ${where}; its classes are ${listLabels(classes)}` +
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

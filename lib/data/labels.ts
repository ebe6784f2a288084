import { BertuneError } from '../errors.js';
import { nearest } from '../options.js';
import type { RawRows } from './types.js';

/** How many classes a message lists before it stops. */
const LISTED = 30;

/** A split before its labels became indices. */
export interface RawSplit extends RawRows {
  /** Where the rows came from, for messages. */
  source: string;
}

/**
 * The list of classes that rows imply: their distinct labels, integers by value, names by their characters, as
 * scikit-learn's LabelEncoder orders them.
 */
export function impliedClasses(splits: readonly RawRows[]): string[] {
  const distinct = [...new Set(splits.flatMap(({ labels }) => [...new Set(labels)]))];
  return distinct.every(isInteger) ? distinct.sort((a, b) => Number(a) - Number(b)) : distinct.sort();
}

/**
 * Turns labels into indices of `classes`. When every label of every split is an integer and some are no class names,
 * they are indices already.
 *
 * @param splits all splits of the data set, so that they are read the same way
 * @param classes the names of the classes, in order
 * @returns the indices of each split (N)
 * @throws INVALID_DATA for a label that is not known, naming the source, the line, the label and the classes
 */
export function labelIndices(splits: readonly RawSplit[], classes: readonly string[]): Int32Array[] {
  const names = new Map(classes.map((name, index) => [name, index]));
  const distinct = new Set(splits.flatMap(({ labels }) => [...new Set(labels)]));
  const areIndices = [...distinct].every(isInteger) && [...distinct].some((label) => !names.has(label));
  const known = areIndices ? new Map(classes.map((_, index) => [String(index), index])) : names;
  return splits.map((split) =>
    Int32Array.from(split.labels, (label, row) => known.get(label) ?? unknownLabel(split, row, classes, areIndices)),
  );
}

function unknownLabel(split: RawSplit, row: number, classes: readonly string[], areIndices: boolean): never {
  const label = split.labels[row]!;
  const listed = classes.slice(0, LISTED).join(', ') + (classes.length > LISTED ? ', ...' : '');
  const near = nearest(label, classes);
  const expected = areIndices ? `an index in 0..${classes.length - 1} of ${listed}` : `one of ${listed}`;
  const advice = near === undefined || areIndices ? '' : `: did you mean ${near}?`;
  throw new BertuneError(
    'INVALID_DATA',
    `Unknown label ${JSON.stringify(label)} in ${split.source}, line ${split.lines[row]}: expected ${expected}${advice}`,
  );
}

function isInteger(label: string): boolean {
  return /^-?\d{1,15}$/.test(label);
}

import { BertuneError } from '../errors.js';
import { nearest } from '../options.js';
import type { Rows } from './rows.js';

/** How many classes a message lists before it stops. */
const LISTED = 30;

/**
 * The classes that rows imply: their distinct labels, integers by value, names by their characters, as scikit-learn's
 * LabelEncoder orders them.
 */
export function impliedClasses(splits: readonly Rows[]): string[] {
  const distinct = [...new Set(splits.flatMap(({ names }) => names))];
  return distinct.every(isInteger) ? distinct.sort((a, b) => Number(a) - Number(b)) : distinct.sort();
}

/**
 * Turns labels into indices of `classes`. Where every label of every split is an integer and some are no class names,
 * they are indices already.
 *
 * @param splits all splits of the data set, so that they are read the same way
 * @param classes the names of the classes, in order
 * @returns the indices of each split (N)
 * @throws INVALID_DATA for a label that is not known, naming the source, the line, the label and the classes
 */
export function labelIndices(splits: readonly Rows[], classes: readonly string[]): Int32Array[] {
  const byName = new Map(classes.map((name, index) => [name, index]));
  const labels = splits.flatMap(({ names }) => names);
  const areIndices = labels.every(isInteger) && labels.some((label) => !byName.has(label));
  const known = areIndices ? new Map(classes.map((_, index) => [String(index), index])) : byName;
  return splits.map((rows) => {
    const table = rows.names.map((label, i) => known.get(label) ?? unknownLabel(rows, i, classes, areIndices));
    const indices = new Int32Array(rows.labels.length);
    for (let row = 0; row < indices.length; row++) indices[row] = table[rows.labels[row]!]!;
    return indices;
  });
}

function unknownLabel(rows: Rows, index: number, classes: readonly string[], areIndices: boolean): never {
  const label = rows.names[index]!;
  const place = `${rows.source}, ${rows.unit} ${rows.firstLines[index]}`;
  const listed = classes.slice(0, LISTED).join(', ') + (classes.length > LISTED ? ', ...' : '');
  const near = areIndices ? undefined : nearest(label, classes);
  const expected = areIndices ? `an index in 0..${classes.length - 1} of ${listed}` : `one of ${listed}`;
  const advice = near === undefined ? '' : `: did you mean ${near}?`;
  throw new BertuneError(
    'INVALID_DATA',
    `Unknown label ${JSON.stringify(label)} in ${place}: expected ${expected}${advice}`,
  );
}

function isInteger(label: string): boolean {
  return /^-?\d{1,15}$/.test(label);
}

import { BertuneError } from '../errors.js';
import { nearest } from '../options.js';
import { isInteger, type Rows } from './rows.js';

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
 * Turns labels into indices of `classes`. Where the data name their own classes, integers are indices of those, and
 * what they name is looked up. Otherwise, where every label of every split is an integer and some are no class names,
 * they are indices already.
 *
 * @param splits all splits of the data set, so that they are read the same way
 * @param classes the names of the classes, in order
 * @param named the classes that the data name themselves; undefined where they name none
 * @returns the indices of each split (N)
 * @throws BertuneError INVALID_DATA for a label that is not known, naming the source, the line, the label and the classes
 */
export function labelIndices(
  splits: readonly Rows[],
  classes: readonly string[],
  named?: readonly string[],
): Int32Array[] {
  const byName = new Map(classes.map((name, index) => [name, index]));
  const labels = splits.flatMap(({ names }) => names);
  const integers = labels.every(isInteger);
  // Classes that are renamed altogether keep their indices.
  const translated = integers && named?.some((name) => byName.has(name)) ? named : undefined;
  const areIndices = integers && translated === undefined && labels.some((label) => !byName.has(label));
  const known =
    translated !== undefined
      ? new Map(translated.flatMap((name, i) => (byName.has(name) ? [[String(i), byName.get(name)!]] : [])))
      : areIndices
        ? new Map(classes.map((_, index) => [String(index), index]))
        : byName;
  return splits.map((rows) => {
    const table = rows.names.map((label, i) => {
      const name = translated?.[Number(label)] ?? label;
      return known.get(label) ?? unknownLabel(name, rows.places[i]!, classes, areIndices);
    });
    return rows.labels.map((label) => table[label]!);
  });
}

function unknownLabel(label: string, place: string, classes: readonly string[], areIndices: boolean): never {
  const listed = classes.slice(0, LISTED).join(', ') + (classes.length > LISTED ? ', ...' : '');
  const near = areIndices ? undefined : nearest(label, classes);
  const expected = areIndices ? `an index in 0..${classes.length - 1} of ${listed}` : `one of ${listed}`;
  const advice = near === undefined ? '' : `: did you mean ${near}?`;
  throw new BertuneError(
    'INVALID_DATA',
    `Unknown label ${JSON.stringify(label)} in ${place}: expected ${expected}${advice}`,
  );
}

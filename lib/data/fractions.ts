import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { expectBoolean, expectNumberInRange, expectObject, expectSeed, invalidOption } from '../options/validation.js';
import type { Slices } from '../time-slice.js';
import { drawParts } from './draw.js';
import { selectRows } from './select.js';
import { HELD_OUT_NAMES, type HeldOutName, type Split, type SplitOptions, type TextDataset } from './types.js';

const FRACTION = { min: 0, max: 1, minExclusive: true, maxExclusive: true };
/** Of the draw, where none is given. */
export const DEFAULT_SEED = 42;

/** @throws BertuneError INVALID_OPTION unless `value` says how to take splits out of the training split */
export function expectSplitOptions(value: unknown): SplitOptions {
  const split = expectObject('split', value, ['validation', 'test', 'seed', 'stratify']);
  const { validation, test, seed, stratify } = split;
  if (validation !== undefined) expectNumberInRange('split.validation', validation, FRACTION);
  if (test !== undefined) expectNumberInRange('split.test', test, FRACTION);
  if (seed !== undefined) expectSeed('split.seed', seed);
  if (stratify !== undefined) expectBoolean('split.stratify', stratify);
  if (validation === undefined && test === undefined)
    throw invalidOption('split', 'a fraction for validation or test', value);
  const sum = Number(validation ?? 0) + Number(test ?? 0);
  if (sum >= 1) throw invalidOption('split', 'fractions whose sum is less than 1', value);
  return split as SplitOptions;
}

/**
 * Takes validation and test rows out of the training split, by drawing them in a seeded random order. Rows keep their
 * order within a split, and rows of the same text (or pair) go to the same split.
 *
 * @param data with a training split, and without the splits that are asked for
 * @returns the data with `heldOut`, which says what was taken
 * @throws BertuneError INVALID_OPTION where the data have such a split; NOT_FOUND without a training split; INVALID_DATA
 *   where a fraction of so few rows is none
 */
export function* takeSplits(data: TextDataset, options: SplitOptions): Slices<TextDataset> {
  const wanted = HELD_OUT_NAMES.filter((name) => options[name] !== undefined);
  for (const name of wanted) {
    if (data[name] === undefined) continue;
    throw new BertuneError(
      'INVALID_OPTION',
      `The data have a ${name} split already; leave out ${option(`split.${name}`)}`,
    );
  }
  const taken = yield* drawSplits(data, options);
  for (const name of wanted) {
    if (taken[name] !== undefined) continue;
    throw new BertuneError(
      'INVALID_DATA',
      `Expected at least one row for ${name} but a fraction of ${options[name]} of ${data.train!.texts.length} rows gives none`,
    );
  }
  return taken;
}

/**
 * The same, where a fraction that gives no row leaves the data without that split.
 *
 * @throws BertuneError NOT_FOUND without a training split
 */
export function* drawSplits(data: TextDataset, options: SplitOptions): Slices<TextDataset> {
  const { train } = data;
  if (train === undefined) throw new BertuneError('NOT_FOUND', 'Expected a training split to take others from');
  const wanted = HELD_OUT_NAMES.filter((name) => options[name] !== undefined);
  const { seed = DEFAULT_SEED, stratify = true } = options;
  const part = yield* drawParts(train, { fractions: wanted.map((name) => options[name]!), seed, stratify });
  const taken = wanted
    .map((name, index) => select(train, name, part, index + 1))
    .filter(({ texts }) => texts.length > 0);
  if (taken.length === 0) return data;
  const rest = select(train, 'train', part, 0);
  return {
    ...data,
    ...Object.fromEntries(taken.map((split) => [split.name, split])),
    train: rest,
    heldOut: {
      fractions: Object.fromEntries(taken.map(({ name }) => [name, options[name as HeldOutName]!])),
      seed,
      stratified: stratify,
      rows: Object.fromEntries([rest, ...taken].map(({ name, texts }) => [name, texts.length])),
    },
  };
}

function select(train: Split, name: string, part: Uint8Array, mark: number): Split {
  return { ...selectRows(train, (row) => part[row] === mark), name };
}

import { BertuneError } from '../errors.js';
import { option } from '../option-names.js';
import { expectBoolean, expectNumberInRange, expectObject, expectSeed, invalidOption } from '../options.js';
import { randomOrder } from '../order.js';
import type { Split, SplitOptions, TextDataset } from './types.js';

const FRACTION = { min: 0, max: 1, minExclusive: true, maxExclusive: true };
const DEFAULT_SEED = 42;

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
 * order within a split.
 *
 * @param data with a training split, and without the splits that are asked for
 * @throws BertuneError INVALID_OPTION where the data have such a split; NOT_FOUND without a training split; INVALID_DATA
 *   where a fraction of so few rows is none
 */
export function takeSplits(data: TextDataset, options: SplitOptions): TextDataset {
  const { train } = data;
  if (train === undefined) throw new BertuneError('NOT_FOUND', 'Expected a training split to take others from');
  const wanted = (['test', 'validation'] as const).filter((name) => options[name] !== undefined);
  for (const name of wanted) {
    if (data[name] === undefined) continue;
    throw new BertuneError(
      'INVALID_OPTION',
      `The data have a ${name} split already; leave out ${option(`split.${name}`)}`,
    );
  }
  const rows = train.labels.length;
  const part = new Uint8Array(rows);
  const order = randomOrder(options.seed ?? DEFAULT_SEED, rows);
  const groups = (options.stratify ?? true) ? byClass(order, train.labels) : [order];
  wanted.forEach((name, index) => {
    draw(groups, options[name]!, index + 1, part, rows);
  });
  const splits = Object.fromEntries(
    wanted.map((name, index) => {
      const split = select(train, name, part, index + 1);
      if (split.texts.length > 0) return [name, split];
      throw new BertuneError(
        'INVALID_DATA',
        `Expected at least one row for ${name} but a fraction of ${options[name]} of ${rows} rows gives none`,
      );
    }),
  );
  return { ...data, ...splits, train: select(train, 'train', part, 0) };
}

/** The order of each class's rows. */
function byClass(order: Int32Array, labels: Int32Array): Int32Array[] {
  const counts: number[] = [];
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  const groups = Array.from(counts, (count) => new Int32Array(count ?? 0));
  const filled = groups.map(() => 0);
  for (const row of order) {
    const label = labels[row]!;
    groups[label]![filled[label]!++] = row;
  }
  return groups;
}

/** Marks a fraction of every group, rounded so that the sum is that of all rows; one row of each group stays. */
function draw(groups: readonly Int32Array[], fraction: number, mark: number, part: Uint8Array, rows: number): void {
  let seen = 0;
  let owed = 0;
  for (const group of groups) {
    const free = group.filter((row) => part[row] === 0);
    seen += group.length;
    const count = Math.min(Math.round(seen * fraction) - owed, free.length - 1);
    for (const row of free.subarray(0, Math.max(0, count))) part[row] = mark;
    owed += Math.max(0, count);
  }
  // What small groups could not give comes from those that have more to give.
  for (const group of groups) {
    const free = group.filter((row) => part[row] === 0);
    const missing = Math.min(Math.round(rows * fraction) - owed, Math.max(0, free.length - 1));
    for (const row of free.subarray(0, Math.max(0, missing))) part[row] = mark;
    owed += Math.max(0, missing);
  }
}

function select(train: Split, name: string, part: Uint8Array, mark: number): Split {
  const chosen = (_: unknown, row: number) => part[row] === mark;
  return {
    ...train,
    name,
    texts: train.texts.filter(chosen),
    ...(train.pairs && { pairs: train.pairs.filter(chosen) }),
    labels: train.labels.filter(chosen),
  };
}

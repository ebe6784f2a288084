import { BertuneError } from '../errors.js';
import { formatCount } from '../format.js';
import { option } from '../options/names.js';
import { expectBoolean, expectNumberInRange, expectObject, expectSeed, invalidOption } from '../options/validation.js';
import { type LabelKind, taskOf } from '../tasks/index.js';
import type { Slices } from '../time-slice.js';
import { drawParts } from './draw.js';
import { selectRows } from './split.js';
import {
  HELD_OUT_NAMES,
  type HeldOutName,
  type HoldoutOptions,
  type Split,
  type SplitOptions,
  type TextDataset,
} from './types.js';

const FRACTION = { min: 0, max: 1, minExclusive: true, maxExclusive: true };
/** Of the draw, where none is given. */
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
function* drawSplits(data: TextDataset, options: SplitOptions): Slices<TextDataset> {
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

/** The share of the training rows that each missing split gets. */
const SHARE = 0.1;

/** Of fewer training rows a tenth measures nothing. */
const FEWEST_ROWS = 20;

/** What gives each split the same share, in words. */
const BY: Readonly<Record<LabelKind, string>> = { class: 'by class', classes: 'by label', values: 'by value' };

/** @throws BertuneError INVALID_OPTION unless `value` says whether and how rows are held out */
export function expectHoldout(value: unknown): boolean | HoldoutOptions {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'object') throw invalidOption('holdout', 'a boolean or an object', value);
  const { seed } = expectObject('holdout', value, ['seed']) as { seed?: unknown };
  return seed === undefined ? {} : { seed: expectSeed('holdout.seed', seed) };
}

/**
 * Takes the validation and test splits that data lack out of their training rows, a tenth each; a note says so, or why
 * not.
 */
export function* holdOut(data: TextDataset, { seed = DEFAULT_SEED }: HoldoutOptions): Slices<TextDataset> {
  const { train } = data;
  const missing = HELD_OUT_NAMES.filter((name) => data[name] === undefined);
  if (train === undefined || missing.length === 0) return data;
  const rows = train.texts.length;
  if (rows < FEWEST_ROWS) {
    return withNote(
      data,
      `no rows are held out for ${listed(missing)}: that takes at least ${FEWEST_ROWS} training rows, and there are ${rows}`,
    );
  }
  const fractions: Partial<Record<HeldOutName, number>> = Object.fromEntries(missing.map((name) => [name, SHARE]));
  const divided = yield* drawSplits(data, { ...fractions, seed });
  const made = missing.filter((name) => divided[name] !== undefined);
  const none = missing.filter((name) => divided[name] === undefined);
  const notes = [
    ...(made.length === 0
      ? []
      : [
          `held out of the ${formatCount(rows)} training rows: ` +
            `${made.map((name) => `${formatCount(divided[name]!.texts.length)} for ${name}`).join(', ')} (${BY[taskOf(data.task).labels]}, seed ${seed})`,
        ]),
    ...(none.length === 0
      ? []
      : [`no rows are held out for ${listed(none)}: too few of the ${rows} training rows have texts of their own`]),
  ];
  return notes.reduce(withNote, divided);
}

function listed(names: readonly string[]): string {
  return [...names].reverse().join(' and ');
}

function withNote(data: TextDataset, note: string): TextDataset {
  return { ...data, notes: [...(data.notes ?? []), note] };
}

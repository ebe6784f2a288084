import { expectObject, expectSeed, invalidOption } from '../options/validation.js';
import { type LabelKind, taskOf } from '../tasks/index.js';
import type { Slices } from '../time-slice.js';
import { DEFAULT_SEED, drawSplits } from './fractions.js';
import { counted } from './quality/finding.js';
import { HELD_OUT_NAMES, type HeldOutName, type HoldoutOptions, type TextDataset } from './types.js';

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
          `held out of the ${counted(rows)} training rows: ` +
            `${made.map((name) => `${counted(divided[name]!.texts.length)} for ${name}`).join(', ')} (${BY[taskOf(data.task).labels]}, seed ${seed})`,
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

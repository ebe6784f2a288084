import { taskOf } from '../tasks/index.js';
import { labelCounts } from './labels.js';
import type { Split } from './types.js';

/** The class in which each row is drawn (N), an index into names that no order of rows or labels changes. */
export interface Strata {
  readonly strata: Int32Array;
  readonly names: readonly string[];
}

/** Ranges of values, of about as many rows each. */
const RANGES = 10;

/**
 * What rows are divided by, so that all parts are alike: their class; the rarest of their labels, so that rare ones are in
 * every part, or that they have none; the range that their value is in. Rows of several values are all one.
 */
export function strataOf(split: Split): Strata {
  switch (taskOf(split.task).labels) {
    case 'class':
      return { strata: split.labels as Int32Array, names: split.labelNames };
    case 'classes':
      return byRarestLabel(split);
    case 'values':
      return split.labelNames.length === 1 ? byRange(split.labels) : oneStratum(split);
  }
}

/** All rows alike. */
export function oneStratum({ texts }: Split): Strata {
  return { strata: new Int32Array(texts.length), names: ['rows'] };
}

function byRarestLabel(split: Split): Strata {
  const { texts, labels, labelNames } = split;
  const counts = labelCounts(split);
  const width = labelNames.length;
  const byCount = labelNames
    .map((name, label) => ({ name, label, count: counts[label]! }))
    .sort((a, b) => a.count - b.count || (a.name < b.name ? -1 : 1));
  const strata = Int32Array.from(texts, (_, row) => {
    const rarest = byCount.find(({ label }) => labels[row * width + label] === 1);
    return rarest?.label ?? width;
  });
  return { strata, names: [...labelNames, ''] };
}

/** By tenths of the rows in the order of their values; rows of one value stay together. */
function byRange(values: Split['labels']): Strata {
  const sorted = Float64Array.from(values).sort();
  const bounds = Array.from({ length: RANGES - 1 }, (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / RANGES)]!);
  const strata = Int32Array.from(values, (value) => bounds.filter((bound) => bound <= value).length);
  return { strata, names: Array.from({ length: RANGES }, (_, i) => String(i)) };
}

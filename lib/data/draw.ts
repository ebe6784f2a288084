import { randomOrder } from '../order.js';
import { PIECES, type Slices } from '../time-slice.js';
import { groupByText } from './same-texts.js';
import type { Split } from './types.js';

/** Which rows are drawn. */
export interface DrawOptions {
  /** The share of all rows that each part gets, 0 to 1. */
  readonly fractions: readonly number[];
  readonly seed: number;
  /** Whether every class gives the same share. */
  readonly stratify: boolean;
}

/** Rows of one text stay together. Those of more than this share of what is drawn are taken last: a part of few texts measures little. */
const LARGE = 0.1;

/**
 * Draws parts of a split in a seeded random order, the same on every machine and whatever the order of the labels.
 *
 * Rows of the same text go to the same part. Every class gives its share, rounded so that the sum is that of all rows,
 * and keeps at least one row.
 *
 * @returns the part of each row (N): 1 for the first fraction, 2 for the second, ...; 0 for those that stay
 */
export function* drawParts(split: Split, { fractions, seed, stratify }: DrawOptions): Slices<Uint8Array> {
  const { texts, labelNames } = split;
  const labels = stratify ? split.labels : new Int32Array(texts.length);
  const { group, count } = yield* groupByText(split);
  const part = new Uint8Array(texts.length);
  const rowsOf = yield* rowsOfGroups(group, count);
  const byClass = yield* groupsByClass(randomOrder(seed, texts.length), group, labels, labelNames);
  const largestFirst = [...byClass].sort((a, b) => b.rows - a.rows);
  const left = countLabels(labels, labelNames.length);

  /** Takes a group, unless it is the last of a class. */
  const take = (rows: Int32Array, mark: number): boolean => {
    for (const row of rows) left[labels[row]!]! -= 1;
    if (rows.some((row) => left[labels[row]!]! <= 0)) {
      for (const row of rows) left[labels[row]!]! += 1;
      return false;
    }
    for (const row of rows) part[row] = mark;
    return true;
  };
  /** Takes as many rows of some groups as are wanted, or fewer. */
  function* draw(groups: readonly number[], wanted: number, mark: number): Slices<number> {
    let taken = 0;
    for (const most of [Math.max(1, wanted * LARGE), wanted]) {
      for (const [i, index] of groups.entries()) {
        if (taken >= wanted) return taken;
        const rows = rowsOf(index);
        if (i % PIECES === 0) yield;
        if (part[rows[0]!] !== 0 || rows.length > Math.min(most, wanted - taken)) continue;
        if (take(rows, mark)) taken += rows.length;
      }
    }
    return taken;
  }

  for (const [i, fraction] of fractions.entries()) {
    let seen = 0;
    let owed = 0;
    for (const { groups, rows } of byClass) {
      seen += rows;
      owed += yield* draw(groups, Math.round(seen * fraction) - owed, i + 1);
    }
    // What some classes could not give comes from those that have most to give.
    for (const { groups } of largestFirst) {
      owed += yield* draw(groups, Math.round(texts.length * fraction) - owed, i + 1);
    }
  }
  return part;
}

/** The rows of each group, in order. */
function* rowsOfGroups(group: Int32Array, count: number): Slices<(index: number) => Int32Array> {
  const starts = new Int32Array(count + 1);
  for (const index of group) starts[index + 1]! += 1;
  for (let index = 0; index < count; index++) starts[index + 1]! += starts[index]!;
  const next = starts.slice();
  const rows = new Int32Array(group.length);
  for (let row = 0; row < group.length; row++) {
    rows[next[group[row]!]!++] = row;
    if (row % PIECES === 0) yield;
  }
  return (index) => rows.subarray(starts[index]!, starts[index + 1]!);
}

/** Groups in a random order, by the class of their first row in it; the classes by their names. */
function* groupsByClass(
  order: Int32Array,
  group: Int32Array,
  labels: Int32Array,
  names: readonly string[],
): Slices<{ groups: number[]; rows: number }[]> {
  const classes = names.map((name) => ({ name, groups: [] as number[], rows: 0 }));
  const classOf = new Int32Array(group.length).fill(-1);
  for (const [i, row] of order.entries()) {
    const index = group[row]!;
    if (classOf[index] === -1) {
      classOf[index] = labels[row]!;
      classes[labels[row]!]!.groups.push(index);
    }
    classes[classOf[index]!]!.rows += 1;
    if (i % PIECES === 0) yield;
  }
  return classes.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** How often each label occurs. */
export function countLabels(labels: Int32Array, classes: number): Int32Array {
  const counts = new Int32Array(classes);
  for (const label of labels) counts[label]! += 1;
  return counts;
}

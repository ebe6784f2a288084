import { randomOrder } from '../order.js';
import { taskOf } from '../tasks/index.js';
import { PIECES, type Slices } from '../time-slice.js';
import { groupByText } from './same-texts.js';
import { labelCounts } from './split.js';
import type { Split } from './types.js';

/** Which rows are drawn. */
export interface DrawOptions {
  /** The share of all rows that each part gets, 0 to 1. */
  readonly fractions: readonly number[];
  readonly seed: number;
  /** Whether every class, label or range of values gives the same share. */
  readonly stratify: boolean;
}

/** Rows of one text stay together. Those of more than this share of what is drawn are taken last: a part of few texts measures little. */
const LARGE = 0.1;

/**
 * Draws parts of a split in a seeded random order, the same on every machine and whatever the order of the labels. Of several
 * labels a row's class is the rarest; of values, the tenth of the rows that they are in.
 *
 * Rows of the same text, but for case and spaces, go to the same part. Every class gives its share and keeps at least one
 * row. Shares are rounded so that the sum is that of all rows: by the largest remainder, and a class gives one row before
 * another gives two. What a class owes to one part counts for the next, so that a class too small for all is in one.
 *
 * @returns the part of each row (N): 1 for the first fraction, 2 for the second, ...; 0 for those that stay
 */
export function* drawParts(split: Split, { fractions, seed, stratify }: DrawOptions): Slices<Uint8Array> {
  const { texts } = split;
  const { strata: labels, names } = stratify ? strataOf(split) : oneStratum(split);
  const { group, count } = yield* groupByText(split);
  const part = new Uint8Array(texts.length);
  const rowsOf = yield* rowsOfGroups(group, count);
  const classes = yield* groupsByClass(randomOrder(seed, texts.length), group, labels, names);
  const left = countOf(labels, names.length);

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
  /** Takes as many rows of a class's groups as are wanted, or fewer. */
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
  /** Takes up to so many rows more of the classes that owe most, a group of each in turn. */
  function* drawMore(owing: readonly DrawnClass[], wanted: number, mark: number): Slices<void> {
    let missing = wanted;
    let open = owing.map(({ groups }) => ({ groups, next: 0 }));
    while (missing > 0 && open.length > 0) {
      for (const each of open) {
        for (let isTaken = false; !isTaken && each.next < each.groups.length; each.next++) {
          if (each.next % PIECES === 0) yield;
          const rows = rowsOf(each.groups[each.next]!);
          isTaken = part[rows[0]!] === 0 && rows.length <= missing && take(rows, mark);
          if (isTaken) missing -= rows.length;
        }
      }
      open = open.filter(({ groups, next }) => next < groups.length);
    }
  }

  const given = new Map(classes.map((each) => [each, 0]));
  let share = 0;
  for (const [i, fraction] of fractions.entries()) {
    share += fraction;
    const total = Math.round(texts.length * fraction);
    const owed = classes.map((each) => each.rows * share - given.get(each)!);
    let missing = total;
    for (const [c, wanted] of apportion(owed, total).entries()) {
      missing -= yield* draw(classes[c]!.groups, Math.min(wanted, missing), i + 1);
    }
    const owing = classes.map((each, c) => ({ each, owed: owed[c]! - drawnOf(each, i + 1) }));
    yield* drawMore(
      owing.sort((a, b) => b.owed - a.owed).map(({ each }) => each),
      missing,
      i + 1,
    );
    for (const each of classes) given.set(each, given.get(each)! + drawnOf(each, i + 1));
  }
  return part;

  function drawnOf({ groups }: DrawnClass, mark: number): number {
    let rows = 0;
    for (const index of groups) {
      const own = rowsOf(index);
      if (part[own[0]!] === mark) rows += own.length;
    }
    return rows;
  }
}

/**
 * Rounds what each of some classes owes so that the sum is `total`, where they owe that: down, then up those of the largest
 * remainders, first those that would give one in place of none.
 */
function apportion(owed: readonly number[], total: number): number[] {
  // Sums of fractions are not exact.
  const exact = owed.map((rows) => Math.max(0, Math.round(rows * 1e6) / 1e6));
  const rounded = exact.map(Math.floor);
  const remainders = exact.map((rows, i) => ({ i, rest: rows - rounded[i]!, rows, isFirst: rows >= 0.5 && rows < 1 }));
  remainders.sort(
    (a, b) =>
      Number(b.isFirst) - Number(a.isFirst) || Math.round((b.rest - a.rest) * 1e6) || a.rows - b.rows || a.i - b.i,
  );
  let more = total - rounded.reduce((sum, rows) => sum + rows, 0);
  for (const { i, rest } of remainders) {
    if (more <= 0) break;
    if (rest === 0) continue;
    rounded[i]! += 1;
    more -= 1;
  }
  return rounded;
}

/** A class with its groups in the order in which they are drawn. */
interface DrawnClass {
  readonly name: string;
  readonly groups: number[];
  rows: number;
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
): Slices<DrawnClass[]> {
  const classes: DrawnClass[] = names.map((name) => ({ name, groups: [], rows: 0 }));
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

/** How often each class occurs. */
function countOf(labels: Int32Array, classes: number): Int32Array {
  const counts = new Int32Array(classes);
  for (const label of labels) counts[label]! += 1;
  return counts;
}

/** The class in which each row is drawn (N), an index into names that no order of rows or labels changes. */
interface Strata {
  readonly strata: Int32Array;
  readonly names: readonly string[];
}

/** Ranges of values, of about as many rows each. */
const RANGES = 10;

/**
 * What rows are divided by, so that all parts are alike: their class; the rarest of their labels, so that rare ones are in
 * every part, or that they have none; the range that their value is in. Rows of several values are all one.
 */
function strataOf(split: Split): Strata {
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
function oneStratum({ texts }: Split): Strata {
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

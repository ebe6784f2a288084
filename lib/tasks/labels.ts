import { nearest, shorten } from '../options/validation.js';

/* Labels are names. Wherever those of two sides meet (data, model, adapter, options), they are matched here, by name. */

/** How many names a message lists before it stops. */
const LISTED = 30;

/** Which of the classes each of some names means. */
export interface LabelMatch {
  /** The index of each name's class (N); undefined for a name that is none of the classes. */
  rows: (number | undefined)[];
  /** What was forgiven, in sentences. */
  notes: string[];
}

/**
 * Matches names with classes. Names that differ in case or in outer spaces alone match where that leaves no doubt; integers
 * match the classes LABEL_0, LABEL_1, … that they count.
 *
 * @param names distinct
 * @param classes distinct
 * @param options.oneToOne whether names that differ in case or spaces alone are several classes, of which none is forgiven,
 *   or spellings of one. Defaults to true
 */
export function matchLabels(
  names: readonly string[],
  classes: readonly string[],
  { oneToOne = true } = {},
): LabelMatch {
  const exact = new Map(classes.map((name, row) => [name, row]));
  if (names.every(isIndex) && classes.every((name) => GENERIC.test(name))) {
    const rows = names.map((name) => exact.get(`LABEL_${name}`));
    return {
      rows,
      notes: noteOn('The classes have no names; integers are taken for their numbers', names, rows, classes),
    };
  }
  const [alike, folded] = [foldedIndices(names), foldedIndices(classes)];
  const forgiven = names.map((name) => {
    const row = folded.get(fold(name)) ?? undefined;
    return exact.has(name) || (oneToOne && alike.get(fold(name)) === null) ? undefined : row;
  });
  const rows = names.map((name, i) => exact.get(name) ?? forgiven[i]);
  return { rows, notes: noteOn('Labels are matched whatever their case and outer spaces', names, forgiven, classes) };
}

/** What transformers calls classes that have no names: LABEL_0, LABEL_1, … */
export function genericLabels(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `LABEL_${index}`);
}

/** Whether labels only number the classes: LABEL_0, LABEL_1, … or 0, 1, … */
export function areNumbers(labels: readonly string[]): boolean {
  return labels.every((label, i) => label === `LABEL_${i}`) || labels.every((label, i) => label === String(i));
}

/** Whether two lists name the same classes, in any order. */
export function haveSameNames(a: readonly string[], b: readonly string[]): boolean {
  const names = new Set(a);
  return a.length === b.length && b.every((name) => names.has(name));
}

/** Whether a label is a number that counts classes. */
export function isIndex(label: string): boolean {
  return /^(0|[1-9]\d{0,14})$/.test(label);
}

/** Labels in a message: in order, some thirty of them. */
export function listLabels(labels: readonly string[]): string {
  return labels.slice(0, LISTED).map(shorten).join(', ') + (labels.length > LISTED ? ', ...' : '');
}

/** Advice on labels that are none of the classes; empty where no class is like them. */
export function likelyLabels(unknown: readonly string[], classes: readonly string[]): string {
  const near = new Set(unknown.slice(0, LISTED).flatMap((name) => nearest(name, classes) ?? []));
  return near.size === 0 ? '' : ` (did you mean ${listLabels([...near])}?)`;
}

const GENERIC = /^LABEL_\d+$/;

function fold(name: string): string {
  return name.trim().toLowerCase();
}

/** The index of each folded name; null for one that several names fold to. */
function foldedIndices(names: readonly string[]): Map<string, number | null> {
  const indices = new Map<string, number | null>();
  names.forEach((name, index) => {
    indices.set(fold(name), indices.has(fold(name)) ? null : index);
  });
  return indices;
}

/** A sentence on the names that have a row; none where no name has. */
function noteOn(
  what: string,
  names: readonly string[],
  rows: readonly (number | undefined)[],
  classes: readonly string[],
): string[] {
  const pairs = names.flatMap((name, i) =>
    rows[i] === undefined ? [] : [`${JSON.stringify(name)} is ${JSON.stringify(classes[rows[i]])}`],
  );
  return pairs.length === 0 ? [] : [`${what}: ${listLabels(pairs)}.`];
}

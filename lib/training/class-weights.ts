import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { type OptionRow, readNames, readNumber } from '../options/table.js';
import { copyArray, expectNumberInRange, invalidOption, isArray } from '../options/validation.js';
import { likelyLabels, listLabels, matchLabels } from '../tasks/labels.js';

/** Class weights: by name, in the order of the labels, or 'balanced'. */
export type ClassWeights = Readonly<Record<string, number>> | readonly number[] | 'balanced';

/** The row of `classWeights`; its check depends on the model's labels. */
export const classWeights: OptionRow<ClassWeights, readonly number[] | 'balanced' | null> = {
  words: 'balanced, or one weight per label: good=1,bad=2.5',
  default: null,
  byDefault: 'none',
  placeholder: '<w>',
  expect: (name, value, context) => expectClassWeights(name, value, (context as { labels: readonly string[] }).labels),
  read: readWeights,
};

/** `balanced`, or positive numbers with commas between them, in the order of the labels or each after its label. */
function readWeights(flag: string, text: string): ClassWeights {
  if (text === 'balanced') return text;
  const weight = (part: string) =>
    expectNumberInRange(flag, readNumber(flag, 'balanced or weights with commas between them', part), {
      min: 0,
      minExclusive: true,
    });
  const parts = readNames(flag, text);
  const ends = parts.map((part) => part.lastIndexOf('='));
  if (!ends.every((end) => end > 0)) return parts.map(weight);
  return Object.fromEntries(parts.map((part, i) => [part.slice(0, ends[i]), weight(part.slice(ends[i]! + 1))]));
}

const isAnything = (_item: unknown): _item is unknown => true;

function expectClassWeights(name: string, value: unknown, labels: readonly string[]): readonly number[] | 'balanced' {
  if (value === 'balanced') return value;
  if (isArray(value) && value.length !== labels.length) {
    throw invalidOption(name, `balanced or ${labels.length} numbers, one for each label,`, value);
  }
  const given = isArray(value) ? copyArray(value, isAnything).items : weightsByName(name, value, labels);
  const weights = given.map((weight, i) => expectNumberInRange(`${name}[${i}]`, weight, { min: 0 }));
  if (!weights.some((weight) => weight > 0)) throw invalidOption(name, 'a weight above 0', value);
  return Object.freeze(weights);
}

/** Weights in the order of the labels. */
function weightsByName(name: string, value: unknown, labels: readonly string[]): unknown[] {
  const weights = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (weights.length === 0) {
    throw invalidOption(name, `balanced, weights by label, or ${labels.length} numbers, one for each label,`, value);
  }
  const labelNames = weights.map(([label]) => label);
  const { rows } = matchLabels(labelNames, labels);
  const unknown = labelNames.filter((_, i) => rows[i] === undefined);
  if (unknown.length === 0) return labels.map((_, row) => weights[rows.indexOf(row)]?.[1] ?? 1);
  throw new BertuneError(
    'INVALID_OPTION',
    `${option(name)} names ${listLabels(unknown)}, but the model's classes are ${listLabels(labels)}` +
      likelyLabels(unknown, labels),
  );
}

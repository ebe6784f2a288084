import { types } from 'node:util';
import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import {
  copyArray,
  expectNames,
  expectObject,
  expectOneOf,
  invalidOption,
  isArray,
  isString,
} from '../options/validation.js';
import { DEFAULT_TASK, type LabelKind, TASK_KINDS, taskOf } from '../tasks/index.js';
import { areNumbers, isIndex, likelyLabels, listLabels, matchLabels } from '../tasks/labels.js';
import { SPLIT_NAMES, type Split } from './types.js';

/**
 * Checks that a split is one, with at least one example.
 *
 * @param name what it is called in messages
 * @returns a copy, so that the caller's may change while it is used
 * @throws BertuneError INVALID_OPTION, INVALID_DATA
 */
export function expectSplit(name: string, value: unknown): Split {
  expectOneSplit(name, value);
  const split = expectObject(name, value, ['name', 'task', 'texts', 'pairs', 'labels', 'labelNames', 'source']);
  const task = split.task === undefined ? DEFAULT_TASK : expectOneOf(`${name}.task`, split.task, TASK_KINDS);
  const kind = taskOf(task).labels;
  const labels = expectLabels(`${name}.labels`, split.labels, kind);
  if (!isArray(split.texts)) throw invalidOption(`${name}.texts`, 'an array of strings', split.texts);
  const { length } = split.texts;
  if (length === 0) throw new BertuneError('INVALID_DATA', `Expected at least one example in ${name}, found none`);
  if (kind === 'class') expectLength(name, labels, length);
  const texts = expectTextArray(`${name}.texts`, split.texts, length);
  const pairs = split.pairs === undefined ? undefined : expectTextArray(`${name}.pairs`, split.pairs, length);
  const labelNames = expectNames(`${name}.labelNames`, split.labelNames);
  if (kind !== 'class') expectLength(name, labels, length * labelNames.length);
  expectValues(name, labels, kind, labelNames);
  return { ...(split as unknown as Split), task, texts, ...(pairs && { pairs }), labels, labelNames };
}

function expectLength(name: string, labels: Split['labels'], length: number): void {
  if (labels.length === length) return;
  throw new BertuneError('SHAPE_MISMATCH', `Expected ${length} labels in ${name} but received ${labels.length}`);
}

function expectValues(name: string, labels: Split['labels'], kind: LabelKind, labelNames: readonly string[]): void {
  const isRight = {
    class: (label: number) => label >= 0 && label < labelNames.length,
    classes: (label: number) => label === 0 || label === 1,
    values: Number.isFinite,
  }[kind];
  const odd = labels.findIndex((label) => !isRight(label));
  if (odd < 0) return;
  const expected = {
    class: `labels of 0..${labelNames.length - 1} (${listLabels(labelNames)})`,
    classes: 'labels of 0 or 1',
    values: 'finite labels',
  }[kind];
  throw new BertuneError('INVALID_DATA', `Expected ${expected} in ${name} but found ${labels[odd]} at ${odd}`);
}

/** What comes of passing a data set, or a split that it does not have. @throws BertuneError INVALID_OPTION */
function expectOneSplit(name: string, value: unknown): void {
  if (value === undefined) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${name} is undefined: the data set has no such split. Add its file, or have loadDataset hold it out of the ` +
        'training rows, e.g. with { split: { test: 0.1 } }',
    );
  }
  if (typeof value !== 'object' || value === null) return;
  const found = SPLIT_NAMES.filter((each) => typeof (value as Record<string, unknown>)[each] === 'object');
  if (found.length === 0) return;
  const most = found.slice(0, -1).join(', ');
  const all = most === '' ? found[0] : `${most} and ${found.at(-1)}`;
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected a split, e.g. data.${found[0]}, but received a data set with ${all}`,
  );
}

/** A copy; empty where the buffer was detached, or has become too small. */
function expectLabels(name: string, labels: unknown, kind: LabelKind): Split['labels'] {
  if (kind === 'class' ? !types.isInt32Array(labels) : !types.isFloat32Array(labels)) {
    const expected = kind === 'class' ? 'an Int32Array' : 'a Float32Array';
    throw invalidOption(name, `${expected} (datasetFromRows makes one of plain rows)`, labels);
  }
  const own = labels as Split['labels'];
  const length = LENGTH.call(own);
  const copy = kind === 'class' ? new Int32Array(length) : new Float32Array(length);
  for (let i = 0; i < length; i++) copy[i] = own[i]!;
  return copy;
}

/** The length of a typed array, whatever a property of the caller's says. */
const LENGTH: (this: Split['labels']) => number = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Int32Array.prototype),
  'length',
)!.get!;

function expectTextArray(name: string, value: unknown, length: number): string[] {
  if (!isArray(value) || value.length !== length) throw invalidOption(name, `an array of ${length} strings`, value);
  const { items, odd } = copyArray(value, isString);
  if (odd >= 0) throw invalidOption(`${name}[${odd}]`, 'a string', value[odd]);
  if (items.length !== length) throw invalidOption(name, `an array of ${length} strings`, value);
  return items;
}

/** The rows of a split that are chosen by their index, in order. */
export function selectRows(split: Split, isChosen: (row: number) => boolean): Split {
  const chosen = (_: unknown, row: number) => isChosen(row);
  const width = split.labels.length / split.texts.length;
  return {
    ...split,
    texts: split.texts.filter(chosen),
    ...(split.pairs && { pairs: split.pairs.filter(chosen) }),
    labels: split.labels.filter((_, i) => isChosen(Math.floor(i / width))),
  };
}

/** A split whose labels are a model's. */
export interface AlignedSplit {
  split: Split;
  /** How its labels were matched with the model's, where they differ. */
  notes: readonly string[];
}

/**
 * A split with its labels in the order of a model's, matched by name. In regression, values whose names are others are taken
 * in their own order.
 *
 * @param name of the split, for messages about one that has none of its own
 * @param classes the model's
 * @throws BertuneError INVALID_DATA where examples have labels that the model does not, naming them; in regression, another
 *   number of values
 */
export function alignSplit(name: string, split: Split, classes: readonly string[]): AlignedSplit {
  const kind = taskOf(split.task).labels;
  if (kind === 'values') return alignValues(name, split, classes);
  const { labels, labelNames } = split;
  const { rows, notes } = matchLabels(labelNames, classes);
  const counts = labelCounts(split);
  const missing = labelNames.filter((_, label) => rows[label] === undefined && counts[label]! > 0);
  if (missing.length > 0) {
    throw new BertuneError(
      'INVALID_DATA',
      `The model has no class for the labels ${listLabels(missing)} of ${splitWords(name, split)}; its classes are ` +
        `${listLabels(classes)}${likelyLabels(missing, classes)}${adviceOn(missing, classes)}`,
    );
  }
  const isSame = labelNames.every((_, label) => rows[label] === label);
  const isWhole = kind === 'class' || labelNames.length === classes.length;
  if (isSame && isWhole) return { split: { ...split, labelNames: classes }, notes };
  const aligned =
    kind === 'class'
      ? labels.map((label) => rows[label]!)
      : moveColumns(labels, rows, labelNames.length, classes.length);
  return { split: { ...split, labels: aligned, labelNames: classes }, notes };
}

function alignValues(name: string, split: Split, names: readonly string[]): AlignedSplit {
  const { labels, labelNames } = split;
  if (labelNames.length !== names.length) {
    throw new BertuneError(
      'INVALID_DATA',
      `Expected ${names.length} value${names.length === 1 ? '' : 's'} per row (${listLabels(names)}) in ` +
        `${splitWords(name, split)} but found ${labelNames.length} (${listLabels(labelNames)})`,
    );
  }
  const { rows } = matchLabels(labelNames, names);
  const isSame = rows.includes(undefined) || rows.every((row, label) => row === label);
  const aligned = isSame ? labels : moveColumns(labels, rows, names.length, names.length);
  return { split: { ...split, labels: aligned, labelNames: names }, notes: [] };
}

/** Values (N, from) with each column where it belongs (N, to); columns without a place are left out. */
function moveColumns(
  values: Int32Array | Float32Array,
  places: readonly (number | undefined)[],
  from: number,
  to: number,
): Float32Array {
  const rows = values.length / from;
  const moved = new Float32Array(rows * to);
  for (const [column, place] of places.entries()) {
    if (place === undefined) continue;
    for (let row = 0; row < rows; row++) moved[row * to + place] = values[row * from + column]!;
  }
  return moved;
}

/** How often each label occurs in a split (NC); in regression, every value counts. */
export function labelCounts({ task, labels, labelNames }: Pick<Split, 'task' | 'labels' | 'labelNames'>): Int32Array {
  const counts = new Int32Array(labelNames.length);
  const kind = taskOf(task).labels;
  if (kind === 'class') for (const label of labels) counts[label]! += 1;
  if (kind === 'classes') for (let i = 0; i < labels.length; i++) counts[i % counts.length]! += labels[i]!;
  if (kind === 'values') counts.fill(labels.length / counts.length);
  return counts;
}

function splitWords(name: string, split: Split): string {
  const isNamed = typeof split.name === 'string' && typeof split.source === 'string';
  return isNamed ? `the ${split.name} split (${split.source})` : name;
}

/** What to do about labels that are no classes of the model. */
function adviceOn(missing: readonly string[], classes: readonly string[]): string {
  if (missing.every(isIndex)) {
    return `. Say what the integers count: load the data with ${option('labels')}, the names of 0, 1, … in order`;
  }
  if (areNumbers(classes)) {
    return `. The model's classes have no names: load it with ${option('labels')}, their names in the order of its rows`;
  }
  return '';
}

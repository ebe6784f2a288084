import { types } from 'node:util';
import { BertuneError } from '../errors.js';
import {
  copyArray,
  expectNames,
  expectObject,
  expectOneOf,
  invalidOption,
  isArray,
  isString,
} from '../options/validation.js';
import { type LabelKind, TASK_KINDS, taskOf } from '../tasks/index.js';
import { listLabels } from '../tasks/labels.js';
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
  const task = split.task === undefined ? 'single-label' : expectOneOf(`${name}.task`, split.task, TASK_KINDS);
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
      `${name} is undefined: the data set has no such split. Add its file, or have loadDataset take it out of the ` +
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

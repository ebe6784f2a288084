import { ARCHITECTURES, architectureOf, headNames, type ModelConfig } from '../../architectures/index.js';
import { BertuneError } from '../../errors.js';
import { isThresholds } from '../../formats/checkpoint/config.js';
import type { Head } from '../../formats/checkpoint/head.js';
import { checkParameter } from '../../formats/checkpoint/weights.js';
import type { Tensor } from '../../formats/tensor.js';
import { expectNames, invalidOption } from '../../options/validation.js';
import { TASK_KINDS, type TaskKind } from '../../tasks/index.js';
import { areNumbers, genericLabels, listLabels } from '../../tasks/labels.js';
import type { Adapter } from './types.js';

/**
 * An adapter's own classifier; null where it has none and the base's is meant.
 *
 * @param base names of the base's classes, in the order of its rows; null where there are none. An adapter whose file names
 *   none is read as transformers would: its classes are called as the base's where there are as many, else LABEL_0, ...
 */
export function adapterHead({ labels, tensors }: Adapter, base: readonly string[] | null): AdapterHead | null {
  const output = headOf(tensors)?.[0];
  if (output === undefined) return null;
  const rows = tensors.get(output)!.shape[0]!;
  const common = { kind: 'classifier', output, tensors, notes: [] } as const;
  if (labels) return { ...common, labels, named: !areNumbers(labels) };
  if (base?.length !== rows) return { ...common, labels: genericLabels(rows), named: false };
  const note = `The adapter does not name its classes; they are called as the base's, in its order: ${listLabels(base)}.`;
  const named = !areNumbers(base);
  return { ...common, labels: base, named, notes: named ? [note] : [] };
}

/** Whether an adapter has a head of its own. */
export function hasHead({ tensors }: Pick<Adapter, 'tensors'>): boolean {
  return headOf(tensors) !== null;
}

/** Whether a tensor is part of some architecture's head. */
export function isInHead(name: string): boolean {
  return ARCHITECTURES.some((architecture) => headNames(architecture).includes(name));
}

/** Names of the head's parameters in an adapter, the weight whose rows are the labels first; null where it has no head. */
function headOf(tensors: ReadonlyMap<string, Tensor>): [output: string, ...others: string[]] | null {
  const found = foundIn(tensors);
  if (found.length === 0) return null;
  const heads = ARCHITECTURES.map(headNames).filter((names) => found.every((name) => names.includes(name)));
  return heads[0] ?? headNames(ARCHITECTURES[0]!);
}

function foundIn(tensors: ReadonlyMap<string, Tensor>): string[] {
  return [...tensors.keys()].filter(isInHead);
}

/** A head, and what is worth knowing about its names. */
export interface AdapterHead extends Head {
  notes: readonly string[];
}

/** Metadata key under which the names of the classes are kept; PEFT passes over it. */
const LABELS_KEY = 'bertune.labels';

/** Metadata key that says `true` of an adapter that was trained on pairs of texts, `false` of one of single texts. */
const PAIRS_KEY = 'bertune.pairs';

/** Metadata keys of an adapter's task, by its name in options, and of its thresholds as JSON. */
const TASK_KEY = 'bertune.task';
const THRESHOLDS_KEY = 'bertune.thresholds';

/**
 * Checks an adapter's classifier, which it has in full or not at all, against the model that it is to go on. Parameters,
 * result and errors as checkHead.
 */
export function fitHead(tensors: ReadonlyMap<string, Tensor>, config: ModelConfig, where: string): number | null {
  const expected = headNames(architectureOf(config));
  const found = foundIn(tensors);
  if (found.length === 0) return null;
  const lost = expected.find((name) => !tensors.has(name));
  if (lost !== undefined) throw incomplete(lost, found[0]!, where);
  const other = found.find((name) => !expected.includes(name));
  if (other !== undefined) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected only ${expected.join(', ')} of a classifier of ${config.modelType} in ${where} but found ${other}`,
    );
  }
  return checkHead(tensors, config.hiddenSize, where);
}

function incomplete(lost: string, found: string, where: string): BertuneError {
  return new BertuneError('CHECKPOINT_INVALID', `Expected ${lost} beside ${found} in ${where} but there is none`);
}

/**
 * Checks an adapter's classifier, which it has in full or not at all.
 *
 * @param tensors canonical names
 * @param hiddenSize C; null where it is not known
 * @returns the number of classes, or null where there is no classifier
 * @throws BertuneError SHAPE_MISMATCH, CHECKPOINT_INVALID
 */
export function checkHead(
  tensors: ReadonlyMap<string, Tensor>,
  hiddenSize: number | null,
  where: string,
): number | null {
  const names = headOf(tensors);
  if (names === null) return null;
  const [output] = names;
  const lost = names.find((name) => !tensors.has(name));
  if (lost !== undefined) throw incomplete(lost, names.find((name) => tensors.has(name))!, where);
  const weight = tensors.get(output)!;
  checkParameter(output, weight, [null, hiddenSize], where);
  const [rows, inputs] = weight.shape as [number, number];
  for (const name of names.slice(1)) {
    const out = name === output.replace(/weight$/, 'bias') ? rows : inputs;
    checkParameter(name, tensors.get(name)!, name.endsWith('.bias') ? [out] : [out, inputs], where);
  }
  return rows;
}

/**
 * The names of the classes from an adapter's metadata, or null where it has none. Without a classifier of its own the
 * classes are those of the base, and so are their names.
 *
 * @param classes the number of classes, or null where there is no classifier
 * @throws BertuneError CHECKPOINT_INVALID where they are not one distinct name a class
 */
export function readLabels(
  metadata: Readonly<Record<string, string>>,
  classes: number | null,
  where: string,
): string[] | null {
  if (classes === null || !Object.hasOwn(metadata, LABELS_KEY)) return null;
  const labels = parsed(metadata[LABELS_KEY]!);
  const sound =
    Array.isArray(labels) &&
    labels.every((label) => typeof label === 'string') &&
    new Set(labels).size === labels.length &&
    labels.length === classes;
  if (!sound) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${classes} distinct names in the metadata ${LABELS_KEY} of ${where} but found ` +
        `${metadata[LABELS_KEY]!.slice(0, 200)}`,
    );
  }
  return labels as string[];
}

/**
 * Whether an adapter was trained on pairs of texts, from its metadata; null where they do not say.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function readPairs(metadata: Readonly<Record<string, string>>, where: string): boolean | null {
  if (!Object.hasOwn(metadata, PAIRS_KEY)) return null;
  const value = metadata[PAIRS_KEY]!;
  if (value === 'true' || value === 'false') return value === 'true';
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected true or false in the metadata ${PAIRS_KEY} of ${where} but found ${value.slice(0, 200)}`,
  );
}

/**
 * What an adapter's metadata say of its task; null where they do not.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function readTask(
  metadata: Readonly<Record<string, string>>,
  where: string,
): Required<Pick<Adapter, 'task' | 'thresholds'>> {
  const task = Object.hasOwn(metadata, TASK_KEY) ? metadata[TASK_KEY]! : null;
  const thresholds = Object.hasOwn(metadata, THRESHOLDS_KEY) ? parsed(metadata[THRESHOLDS_KEY]!) : null;
  const isTask = (value: string): value is TaskKind => (TASK_KINDS as readonly string[]).includes(value);
  if (task !== null && !isTask(task)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${TASK_KINDS.join(', ')} in the metadata ${TASK_KEY} of ${where} but found ${task.slice(0, 200)}`,
    );
  }
  if (thresholds !== null && !isThresholds(thresholds)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected numbers from 0 to 1 by label in the metadata ${THRESHOLDS_KEY} of ${where}`,
    );
  }
  return { task, thresholds };
}

/** @returns undefined for what is no JSON */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/**
 * The metadata of an adapter's file.
 *
 * @param classes the number of classes that the head has
 * @throws BertuneError INVALID_OPTION where there is no head, without which PEFT does not load an adapter, or where the
 *   labels are not one distinct name a class
 */
export function adapterMetadata(
  { labels, pairs, task, thresholds }: Pick<Adapter, 'labels' | 'pairs' | 'task' | 'thresholds'>,
  classes: number | null,
): Record<string, string> {
  if (classes === null) {
    throw new BertuneError(
      'INVALID_OPTION',
      'Expected the weight and the bias of the classifier in tensors, frozen or not',
    );
  }
  const common = {
    format: 'pt',
    ...(typeof pairs === 'boolean' && { [PAIRS_KEY]: String(pairs) }),
    ...(task && { [TASK_KEY]: task }),
    ...(thresholds && { [THRESHOLDS_KEY]: JSON.stringify(thresholds) }),
  };
  if (!labels) return common;
  if (expectNames('labels', labels).length !== classes) {
    throw invalidOption('labels', `${classes} names, one a class of classifier.weight,`, labels);
  }
  return { ...common, [LABELS_KEY]: JSON.stringify(labels) };
}

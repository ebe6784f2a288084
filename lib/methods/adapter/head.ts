import { ARCHITECTURES, architectureOf, headNames, type ModelConfig } from '../../architectures/index.js';
import { BertuneError } from '../../errors.js';
import type { Head } from '../../formats/checkpoint/head.js';
import { checkParameter } from '../../formats/checkpoint/weights.js';
import type { Tensor } from '../../formats/tensor.js';
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

/** A tensor's name without what PEFT wraps a trained module in, or null for its copy of the untrained one. */
export function plainName(inFile: string): string | null {
  if (inFile.includes('.original_module.')) return null;
  return inFile.replace(/\.modules_to_save\.(default\.)?/, '.').replace(/\.default\.(?=weight$|bias$)/, '.');
}

/** Whether a tensor is part of some architecture's head. */
export function isHeadName(name: string): boolean {
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
  return [...tensors.keys()].filter(isHeadName);
}

/** A head, and what is worth knowing about its names. */
export interface AdapterHead extends Head {
  notes: readonly string[];
}

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

/*
 * The table of parameters: what each is called in files, what it is to the model, and how it begins. It is made here and
 * nowhere else; native code gets it with its roles and knows no names.
 */

import type { Part, Role } from '../native/roles.js';

export { LAYER_ROLES, type LayerRole, type Part, type Role } from '../native/roles.js';

/** How a new parameter starts: N(0, scale²), U(−scale, scale), or a constant. */
export interface Initial {
  distribution: 'normal' | 'uniform' | 'constant';
  /** Standard deviation, bound, or the constant. */
  scale: number;
}

/** A parameter of the model. */
export interface ParameterRow {
  /** As Hugging Face's files call it, without PEFT's prefixes. */
  name: string;
  role: Role;
  /** Number of its encoder layer, from 0; −1 outside of the layers. */
  layer: number;
  part: Part;
  /** What it belongs to. */
  group: 'encoder' | 'head' | 'lora' | 'prefix';
  /** A weight's is (out, in). */
  shape: number[];
  /** Whether weight decay applies: to all but biases and LayerNorms, as in transformers' `get_decay_parameter_names`. */
  decay: boolean;
  initial: Initial;
}

/** A Linear, a LayerNorm or a table of embeddings. */
export interface Module {
  /** Of its parameters, without `.weight`. */
  name: string;
  role: Role;
  layer: number;
  group: ParameterRow['group'];
}

/** Outside of the encoder's layers. */
export const NO_LAYER = -1;

export const constant = (scale: number): Initial => ({ distribution: 'constant', scale });
export const normal = (scale: number): Initial => ({ distribution: 'normal', scale });
/** As torch fills a Linear of so many inputs, weight and bias alike: U(±1/√in). */
export const torchUniform = (inputs: number): Initial => ({ distribution: 'uniform', scale: 1 / Math.sqrt(inputs) });

function row({ name, ...module }: Module, part: Part, shape: number[], decay: boolean, initial: Initial): ParameterRow {
  return {
    name: `${name}.${part === 'weight' || part === 'bias' ? part : `${part}.weight`}`,
    ...module,
    part,
    shape,
    decay,
    initial,
  };
}

/** A table of embeddings (rows, columns). */
export function embeddingRow(module: Module, rows: number, columns: number, initial: Initial): ParameterRow {
  return row(module, 'weight', [rows, columns], true, initial);
}

/** Weight (out, in) and bias (out) of a Linear. */
export function linearRows(
  module: Module,
  out: number,
  inputs: number,
  weight: Initial,
  bias: Initial = constant(0),
): [weight: ParameterRow, bias: ParameterRow] {
  return [row(module, 'weight', [out, inputs], true, weight), row(module, 'bias', [out], false, bias)];
}

/** Weight and bias of a LayerNorm. */
export function normRows(module: Module, size: number): ParameterRow[] {
  return [row(module, 'weight', [size], false, constant(1)), row(module, 'bias', [size], false, constant(0))];
}

/** The low-rank update of a Linear: A (rank, in) ~ U(±1/√in), torch's kaiming_uniform with a = √5, and B (out, rank) = 0. */
export function lowRankRows(weight: ParameterRow, rank: number): ParameterRow[] {
  const { role, layer } = weight;
  const module: Module = { name: moduleOf(weight), role, layer, group: 'lora' };
  const [out, inputs] = weight.shape as [number, number];
  return [
    row(module, 'lora_A', [rank, inputs], true, torchUniform(inputs)),
    row(module, 'lora_B', [out, rank], true, constant(0)),
  ];
}

/** The name of the module that a parameter belongs to. */
export function moduleOf({ name }: Pick<ParameterRow, 'name'>): string {
  return name.replace(/(\.lora_[AB])?\.(weight|bias)$/, '');
}

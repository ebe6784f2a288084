import { LAYER_ROLES, type LayerRole, type Part, type Role } from '../native/roles.js';
import { architectureOf, type ModelConfig } from './index.js';

/*
 * The table of parameters: what each is called in files, what it is to the model, and how it begins. It is made here and
 * nowhere else; native code gets it with its roles and knows no names.
 */

/** How a new parameter starts: N(0, scale²), U(−scale, scale), a constant, or the norms of its module's rows. */
interface Initial {
  distribution: 'normal' | 'uniform' | 'constant' | 'row_norms';
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
interface Module {
  /** Of its parameters, without `.weight`. */
  name: string;
  role: Role;
  layer: number;
  group: ParameterRow['group'];
}

/** Outside of the encoder's layers. */
const NO_LAYER = -1;

const constant = (scale: number): Initial => ({ distribution: 'constant', scale });
const normal = (scale: number): Initial => ({ distribution: 'normal', scale });
/** As torch fills a Linear of so many inputs, weight and bias alike: U(±1/√in). */
const torchUniform = (inputs: number): Initial => ({ distribution: 'uniform', scale: 1 / Math.sqrt(inputs) });

function row({ name, ...module }: Module, part: Part, shape: number[], decay: boolean, initial: Initial): ParameterRow {
  return {
    name: `${name}.${part === 'lora_A' || part === 'lora_B' ? `${part}.weight` : part}`,
    ...module,
    part,
    shape,
    decay,
    initial,
  };
}

/** A table of embeddings (rows, columns). */
function embeddingRow(module: Module, rows: number, columns: number, initial: Initial): ParameterRow {
  return row(module, 'weight', [rows, columns], true, initial);
}

/** Weight (out, in) and bias (out) of a Linear. */
function linearRows(
  module: Module,
  out: number,
  inputs: number,
  weight: Initial,
  bias: Initial = constant(0),
): [weight: ParameterRow, bias: ParameterRow] {
  return [row(module, 'weight', [out, inputs], true, weight), row(module, 'bias', [out], false, bias)];
}

/** Weight and bias of a LayerNorm. */
function normRows(module: Module, size: number): ParameterRow[] {
  return [row(module, 'weight', [size], false, constant(1)), row(module, 'bias', [size], false, constant(0))];
}

/**
 * The low-rank update of a Linear: A (rank, in) ~ U(±1/√in), torch's kaiming_uniform with a = √5, and B (out, rank) = 0; with DoRA
 * the magnitudes (out) as well, which begin as the norms of the weight's rows and decay, as all of a LoRA does.
 */
export function lowRankRows(weight: ParameterRow, rank: number, dora: boolean): ParameterRow[] {
  const { role, layer } = weight;
  const module: Module = { name: moduleOf(weight), role, layer, group: 'lora' };
  const [out, inputs] = weight.shape as [number, number];
  return [
    row(module, 'lora_A', [rank, inputs], true, torchUniform(inputs)),
    row(module, 'lora_B', [out, rank], true, constant(0)),
    ...(dora ? [row(module, 'lora_magnitude_vector', [out], true, { distribution: 'row_norms', scale: 1 })] : []),
  ];
}

/** The name of the module that a parameter belongs to. */
export function moduleOf({ name }: Pick<ParameterRow, 'name'>): string {
  return name.replace(/((\.lora_[AB])?\.(weight|bias)|\.lora_magnitude_vector)$/, '');
}

/** What is trained on top of the encoder: the architecture's classifier, or the probe's two-layer network. */
export type HeadKind = 'classifier' | 'probe';

const inEncoder = (name: string, role: Role, layer = NO_LAYER): Module => ({ name, role, layer, group: 'encoder' });
const inHead = (name: string, role: Role): Module => ({ name, role, layer: NO_LAYER, group: 'head' });

/** The encoder's parameters, its pooler's among them, in the order of their memory. 199 of bert-base. */
export function encoderRows(config: ModelConfig): ParameterRow[] {
  const { embeddings, pooler } = architectureOf(config);
  const { embeddingSize, hiddenSize, typeVocabSize } = config;
  const weights = normal(config.initializerRange);
  const table = (name: string, role: Role, rows: number) =>
    embeddingRow(inEncoder(name, role), rows, embeddingSize, weights);
  return [
    table(embeddings.word, 'word', config.vocabSize),
    table(embeddings.position, 'position', config.maxPositions),
    ...(embeddings.tokenType === null ? [] : [table(embeddings.tokenType, 'token_type', typeVocabSize)]),
    ...normRows(inEncoder(embeddings.norm, 'embedding_norm'), embeddingSize),
    ...(embeddings.projection === null || embeddingSize === hiddenSize
      ? []
      : linearRows(inEncoder(embeddings.projection, 'embedding_projection'), hiddenSize, embeddingSize, weights)),
    ...Array.from({ length: config.layers }, (_, layer) => layerRows(config, layer)).flat(),
    ...(pooler === null ? [] : linearRows(inEncoder(pooler, 'head_dense'), hiddenSize, hiddenSize, weights)),
  ];
}

function layerRows(config: ModelConfig, layer: number): ParameterRow[] {
  const { layers, inLayer } = architectureOf(config);
  const { hiddenSize: C, feedForwardSize: F } = config;
  const module = (role: LayerRole) => inEncoder(`${layers}.${layer}.${inLayer[role]}`, role, layer);
  const linear = (role: LayerRole, out: number, inputs: number) =>
    linearRows(module(role), out, inputs, normal(config.initializerRange));
  // Queries, keys and values stand side by side, so that one product makes all three.
  const inputs = LAYER_ROLES.slice(0, 3).map((role) => linear(role, C, C));
  return [
    ...inputs.map(([weight]) => weight),
    ...inputs.map(([, bias]) => bias),
    ...linear('attention_output', C, C),
    ...normRows(module('attention_norm'), C),
    ...linear('intermediate', F, C),
    ...linear('output', C, F),
    ...normRows(module('output_norm'), C),
  ];
}

/**
 * The head's parameters. A probe takes the place of the whole head; it is LayerNorm(C) → Linear(C, C/2) → ReLU → dropout →
 * LayerNorm(C/2) → Linear(C/2, NC), its modules numbered as in a torch Sequential.
 *
 * @param labels NC, the number of labels
 */
export function headRows(config: ModelConfig, head: HeadKind, labels: number): ParameterRow[] {
  const { hiddenSize: C } = config;
  if (head === 'probe') {
    const half = Math.floor(C / 2);
    const linear = (name: string, role: Role, out: number, inputs: number) =>
      linearRows(inHead(name, role), out, inputs, torchUniform(inputs), torchUniform(inputs));
    return [
      ...normRows(inHead('classifier.classifier.0', 'probe_norm'), C),
      ...linear('classifier.classifier.1', 'probe_dense', half, C),
      ...normRows(inHead('classifier.classifier.4', 'probe_output_norm'), half),
      ...linear('classifier.classifier.5', 'classifier', labels, half),
    ];
  }
  const { dense, output } = architectureOf(config).head;
  const weights = normal(config.initializerRange);
  return [
    ...(dense === null ? [] : linearRows(inHead(dense, 'head_dense'), C, C, weights)),
    ...linearRows(inHead(output, 'classifier'), labels, C, weights),
  ];
}

/** The weights of the encoder's Linear modules, which LoRA can be put on, in the order of the model. */
export function linearWeights(config: ModelConfig): ParameterRow[] {
  const rows = encoderRows(config);
  const biases = new Set(rows.filter(({ part }) => part === 'bias').map(moduleOf));
  return rows.filter((row) => row.part === 'weight' && row.shape.length === 2 && biases.has(moduleOf(row)));
}

/** The prefix's own parameter: (P, C) in front of a projection, (P, 2LC) without. */
export const PROMPT_EMBEDDINGS = 'prompt_encoder.embedding.weight';

/** The prefix network: Embedding(P, C) → Linear(C, C) → tanh → Linear(C, 2LC) with projection, Embedding(P, 2LC) without. */
export function prefixRows(config: ModelConfig, virtualTokens: number, projection: boolean): ParameterRow[] {
  const { hiddenSize: C, layers } = config;
  const flat = 2 * layers * C;
  const module = (name: string, role: Role): Module => {
    return { name: `prompt_encoder.${name}`, role, layer: NO_LAYER, group: 'prefix' };
  };
  const linear = (name: string, role: Role, out: number) =>
    linearRows(module(name, role), out, C, torchUniform(C), torchUniform(C));
  return [
    embeddingRow(module('embedding', 'prompt'), virtualTokens, projection ? C : flat, normal(1)),
    ...(projection
      ? [...linear('transform.0', 'prompt_dense', C), ...linear('transform.2', 'prompt_output', flat)]
      : []),
  ];
}

/** Parameters by name. */
export function byName(rows: readonly ParameterRow[]): Map<string, ParameterRow> {
  return new Map(rows.map((row) => [row.name, row]));
}

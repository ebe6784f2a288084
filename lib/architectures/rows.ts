import { architectureOf, type ModelConfig } from './index.js';
import {
  embeddingRow,
  LAYER_ROLES,
  type LayerRole,
  linearRows,
  type Module,
  moduleOf,
  NO_LAYER,
  normal,
  normRows,
  type ParameterRow,
  type Role,
  torchUniform,
} from './table.js';

/** What is trained on the encoder: the classifier of the architecture, or the probe's two-layer network. */
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

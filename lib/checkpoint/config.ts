import { join } from 'node:path';
import { BertuneError } from '../errors.js';
import { isObject, readJsonObject } from '../files/input.js';
import { invalidValue } from '../files/invalid.js';
import { expectNames, expectString } from '../options.js';
import { alternativeTo, SUPPORTED_TYPES } from './families.js';
import { readConfigLabels } from './labels.js';

/** What config.json says of a BERT classifier. Keys that are absent take BERT's defaults, as in transformers. */
export interface BertConfig {
  modelType: 'bert';
  vocabSize: number;
  hiddenSize: number;
  layers: number;
  heads: number;
  feedForwardSize: number;
  maxPositions: number;
  typeVocabSize: number;
  layerNormEps: number;
  /** Probabilities of dropping, in [0, 1). */
  hiddenDropout: number;
  attentionDropout: number;
  /** null: the same as hiddenDropout. */
  classifierDropout: number | null;
  /** null: there is none. */
  padTokenId: number | null;
  /** Standard deviation of new weights. */
  initializerRange: number;
  /** Names of the classes in the order of the classifier's rows, from id2label; null where the file names none. */
  labels: string[] | null;
  /** What is odd about those names, in sentences: numbers that id2label leaves out, a label2id that disagrees with it. */
  labelNotes: readonly string[];
  /** Whether the classifier was trained on pairs of texts; null where the file does not say. */
  pairs: boolean | null;
  problemType: string | null;
  /** Everything the file holds, so that keys unknown here survive a round trip. */
  raw: Record<string, unknown>;
}

/** The classification head on the pooled output: one Linear, or the probe's two-layer network. */
export type HeadKind = 'classifier' | 'probe';

/** Keys whose values are floats to transformers even when they are whole numbers. */
export const FLOAT_KEYS = [
  'attention_probs_dropout_prob',
  'classifier_dropout',
  'hidden_dropout_prob',
  'initializer_range',
  'layer_norm_eps',
];

/** Far above any model: lists of this length are made before the weights are seen. */
const MAX_LAYERS = 10_000;

/** Settings that change the arithmetic of the model, with the values for what is implemented; null and absent mean it too. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  // Two names of one function, x · Φ(x). The others of transformers are approximations of it, or cut it off (gelu_10).
  hidden_act: ['gelu', 'gelu_python'],
  position_embedding_type: ['absolute'],
  is_decoder: [false],
  add_cross_attention: [false],
};

/**
 * Reads and checks config.json of a checkpoint directory.
 *
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID
 */
export async function readConfig(directory: string): Promise<BertConfig> {
  const path = join(expectString('directory', directory), 'config.json');
  return parseConfig(await readJsonObject(path), path);
}

/**
 * Checks the contents of a config.json.
 *
 * @param raw the file's outermost object
 * @param source the file, for messages. Defaults to 'config.json'.
 * @throws BertuneError CHECKPOINT_INVALID naming the key, what was expected and what was found
 */
export function parseConfig(raw: Record<string, unknown>, source = 'config.json'): BertConfig {
  const read = new Reader(raw, source);
  expectSupported(raw, source);
  for (const [key, values] of Object.entries(FIXED)) {
    const known = values.map((value) => JSON.stringify(value)).join(' or ');
    if (!values.includes(raw[key] ?? values[0])) throw read.invalid(key, known);
  }
  const names = readConfigLabels(raw, (key, expected) => read.invalid(key, expected));
  const config: BertConfig = {
    modelType: 'bert',
    vocabSize: read.size('vocab_size', 30522),
    hiddenSize: read.size('hidden_size', 768),
    layers: read.size('num_hidden_layers', 12, MAX_LAYERS),
    heads: read.size('num_attention_heads', 12),
    feedForwardSize: read.size('intermediate_size', 3072),
    maxPositions: read.size('max_position_embeddings', 512),
    typeVocabSize: read.size('type_vocab_size', 2),
    layerNormEps: read.number('layer_norm_eps', 1e-12, 'a positive number', (value) => value > 0),
    hiddenDropout: read.dropout('hidden_dropout_prob', 0.1),
    attentionDropout: read.dropout('attention_probs_dropout_prob', 0.1),
    classifierDropout: (raw.classifier_dropout ?? null) === null ? null : read.dropout('classifier_dropout', 0),
    padTokenId: null,
    initializerRange: read.number('initializer_range', 0.02, 'a number of at least 0', (value) => value >= 0),
    labels: names.labels,
    labelNotes: names.notes,
    pairs: read.pairs(),
    problemType: read.text('problem_type'),
    raw,
  };
  if (config.hiddenSize % config.heads !== 0) {
    throw read.invalid('hidden_size', `a multiple of num_attention_heads, which is ${config.heads},`);
  }
  // An explicit null means that there is no padding token; an absent key means BERT's default, 0.
  const padding = raw.pad_token_id === undefined ? 0 : raw.pad_token_id;
  if (padding !== null) {
    if (!Number.isSafeInteger(padding) || (padding as number) < 0 || (padding as number) >= config.vocabSize) {
      throw read.invalid('pad_token_id', `null or a token id below vocab_size, which is ${config.vocabSize},`);
    }
    config.padTokenId = padding as number;
  }
  return config;
}

/**
 * The contents of config.json for a classifier, as transformers writes them.
 *
 * @param labels names of the classes in order
 * @param head a probe is marked by the key `bertune`, which other readers pass over, and so is what `config.pairs` says
 * @param dtype the weights' type in torch's words, e.g. 'float32'
 * @returns an object to be written with sorted keys
 */
export function configToJson(
  config: BertConfig,
  labels: readonly string[],
  head: HeadKind,
  dtype: string,
): Record<string, unknown> {
  expectNames('labels', labels);
  const kept = Object.entries(config.raw).filter(([key]) => !key.startsWith('_') && !SUPERSEDED.includes(key));
  return {
    ...Object.fromEntries(kept),
    architectures: ['BertForSequenceClassification'],
    attention_probs_dropout_prob: config.attentionDropout,
    classifier_dropout: config.classifierDropout,
    dtype,
    hidden_act: 'gelu',
    hidden_dropout_prob: config.hiddenDropout,
    hidden_size: config.hiddenSize,
    id2label: Object.fromEntries(labels.map((label, index) => [index, label])),
    initializer_range: config.initializerRange,
    intermediate_size: config.feedForwardSize,
    label2id: Object.fromEntries(labels.map((label, index) => [label, index])),
    layer_norm_eps: config.layerNormEps,
    max_position_embeddings: config.maxPositions,
    model_type: 'bert',
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    pad_token_id: config.padTokenId,
    // transformers refuses this one for one class, whose score is a sigmoid.
    problem_type: labels.length === 1 ? null : 'single_label_classification',
    type_vocab_size: config.typeVocabSize,
    vocab_size: config.vocabSize,
    ...ownKey(head, config.pairs),
  };
}

/** What only this library asks of a classifier. */
function ownKey(head: HeadKind, pairs: boolean | null): Record<string, unknown> {
  const own = { ...(head === 'probe' && { head }), ...(pairs !== null && { pairs }) };
  return Object.keys(own).length === 0 ? {} : { bertune: own };
}

/** Keys that the new file says in another way, or that would be wrong in it. */
const SUPERSEDED = ['bertune', 'torch_dtype', 'num_labels', 'finetuning_task'];

/** The model_type of a config.json. Files from before transformers 2.6 name none, only the class. */
export function modelTypeOf(raw: Record<string, unknown>): unknown {
  const [architecture] = Array.isArray(raw.architectures) ? raw.architectures : [raw.architectures];
  const isBert = typeof architecture === 'string' && architecture.startsWith('Bert');
  return raw.model_type ?? (isBert ? 'bert' : undefined);
}

/**
 * Checks that a config.json is that of a model that is read here.
 *
 * @param source the file, for messages
 * @throws BertuneError CHECKPOINT_INVALID naming what to take instead
 */
export function expectSupported(raw: Record<string, unknown>, source: string): void {
  const type = modelTypeOf(raw);
  if (typeof type === 'string' && SUPPORTED_TYPES.includes(type)) return;
  const known = SUPPORTED_TYPES.map((name) => JSON.stringify(name)).join(' or ');
  const isNamed = typeof type === 'string' && type !== '';
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected the model_type ${known} in ${source} but found ${JSON.stringify(type) ?? 'none'}` +
      (isNamed ? `: models of this kind are not supported; ${alternativeTo(type)}` : ''),
  );
}

/** Reads typed values, with errors that name key, expectation and finding. */
class Reader {
  readonly #raw: Record<string, unknown>;
  readonly #source: string;

  constructor(raw: Record<string, unknown>, source: string) {
    this.#raw = raw;
    this.#source = source;
  }

  size(key: string, fallback: number, max = Number.MAX_SAFE_INTEGER): number {
    const expected = max < Number.MAX_SAFE_INTEGER ? `an integer from 1 to ${max}` : 'a positive integer';
    return this.number(key, fallback, expected, (value) => Number.isInteger(value) && value > 0 && value <= max);
  }

  dropout(key: string, fallback: number): number {
    return this.number(key, fallback, 'a number from 0 to below 1', (value) => value >= 0 && value < 1);
  }

  number(key: string, fallback: number, expected: string, test: (value: number) => boolean): number {
    const value = this.#raw[key] ?? fallback;
    // 1e400 in JSON is an infinity, and 1e300 is one in fp32.
    if (typeof value !== 'number' || !Number.isFinite(Math.fround(value)) || !test(value))
      throw this.invalid(key, expected);
    return value;
  }

  text(key: string): string | null {
    const value = this.#raw[key] ?? null;
    if (value !== null && typeof value !== 'string') throw this.invalid(key, 'text or null');
    return value;
  }

  /** Of this library's own key, which other programs may use for something else. */
  pairs(): boolean | null {
    const { bertune } = this.#raw;
    const pairs = isObject(bertune) ? (bertune.pairs ?? null) : null;
    if (pairs !== null && typeof pairs !== 'boolean') throw this.invalid('bertune', 'true or false for pairs');
    return pairs;
  }

  invalid(key: string, expected: string): BertuneError {
    return invalidValue(this.#source, key, expected, this.#raw[key]);
  }
}

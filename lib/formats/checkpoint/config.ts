import { join } from 'node:path';
import type { ConfigField, ConfigKeys, ModelConfig } from '../../architectures/architecture.js';
import { ARCHITECTURES, architectureOf, modelTypeOf, SUPPORTED_TYPES } from '../../architectures/index.js';
import { ACTIVATION_NAMES } from '../../architectures/native.js';
import type { HeadKind } from '../../architectures/rows.js';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import { readJsonObject } from '../../files/input.js';
import { isObject } from '../../files/json.js';
import { isLongTexts, LONG_TEXTS_FORM, type LongTexts } from '../../options/long-texts.js';
import { expectNames, expectString } from '../../options/validation.js';
import { alternativeTo } from './foreign.js';
import { readConfigLabels } from './labels.js';

/** Keys whose values are floats to transformers even when they are whole numbers. */
export const FLOAT_KEYS = [
  ...new Set(
    ARCHITECTURES.flatMap(({ keys }) =>
      (['hiddenDropout', 'attentionDropout', 'classifierDropout', 'initializerRange', 'layerNormEps'] as const).flatMap(
        (field) => keys[field].key ?? [],
      ),
    ),
  ),
];

/** Far above any model: lists of this length are made before the weights are seen. */
const MAX_LAYERS = 10_000;

/** Settings that change the arithmetic of the model, with the values for what is implemented; null and absent mean it too. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  position_embedding_type: ['absolute'],
  is_decoder: [false],
  add_cross_attention: [false],
};

/**
 * Reads and checks config.json of a checkpoint directory.
 *
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID
 */
export async function readConfig(directory: string): Promise<ModelConfig> {
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
export function parseConfig(raw: Record<string, unknown>, source = 'config.json'): ModelConfig {
  const modelType = expectSupported(raw, source);
  const { keys, positionsFollowPadding } = architectureOf({ modelType });
  const read = new Reader(raw, source, keys);
  for (const [key, values] of Object.entries(FIXED)) {
    const known = values.map((value) => JSON.stringify(value)).join(' or ');
    if (!values.includes(raw[key] ?? values[0])) throw read.invalid(key, known);
  }
  const names = readConfigLabels(raw, (key, expected) => read.invalid(key, expected));
  const hiddenSize = read.size('hiddenSize');
  const maxPositions = read.size('maxPositions');
  const vocabSize = read.size('vocabSize');
  const padTokenId = read.padding(vocabSize, positionsFollowPadding);
  const config: ModelConfig = {
    modelType,
    vocabSize,
    embeddingSize: keys.embeddingSize.key === null ? hiddenSize : read.size('embeddingSize'),
    hiddenSize,
    layers: read.size('layers', MAX_LAYERS),
    heads: read.size('heads'),
    feedForwardSize: read.size('feedForwardSize'),
    maxPositions,
    maxTokens: maxPositions - (positionsFollowPadding ? padTokenId! + 1 : 0),
    typeVocabSize: keys.typeVocabSize.key === null ? keys.typeVocabSize.default : read.size('typeVocabSize'),
    layerNormEps: read.number('layerNormEps', 'a positive number', (value) => value > 0),
    activation: read.oneOf('activation', ACTIVATION_NAMES),
    hiddenDropout: read.dropout('hiddenDropout'),
    attentionDropout: read.dropout('attentionDropout'),
    classifierDropout: read.isDefault('classifierDropout')
      ? keys.classifierDropout.default
      : read.dropout('classifierDropout'),
    padTokenId,
    initializerRange: read.number('initializerRange', 'a number of at least 0', (value) => value >= 0),
    labels: names.labels,
    labelNotes: names.notes,
    pairs: read.pairs(),
    problemType: read.text('problem_type'),
    thresholds: read.thresholds(),
    temperature: read.temperature(),
    longTexts: read.longTexts(),
    raw,
  };
  if (config.hiddenSize % config.heads !== 0) {
    throw read.invalid(keys.hiddenSize.key!, `a multiple of ${keys.heads.key}, which is ${config.heads},`);
  }
  if (config.maxTokens < 1) {
    throw read.invalid(keys.maxPositions.key!, `more than pad_token_id + 1, which is ${padTokenId! + 1},`);
  }
  return config;
}

/**
 * The contents of config.json for a classifier, as transformers writes them.
 *
 * @param labels names of the classes in order
 * @param head a probe is marked by the key `bertune`, which other readers pass over, and so is what `config.pairs`,
 *   `config.thresholds`, `config.temperature` and `config.longTexts` say
 * @param dtype the weights' type in torch's words, e.g. 'float32'
 * @returns an object to be written with sorted keys
 */
export function configToJson(
  config: ModelConfig,
  labels: readonly string[],
  head: HeadKind,
  dtype: string,
): Record<string, unknown> {
  expectNames('labels', labels);
  const { modelTypes, keys } = architectureOf(config);
  const kept = Object.entries(config.raw).filter(([key]) => !key.startsWith('_') && !SUPERSEDED.includes(key));
  const settings = (Object.keys(keys) as ConfigField[]).flatMap((field) => {
    const { key } = keys[field];
    return key === null ? [] : [[key, config[field]] as const];
  });
  return {
    ...Object.fromEntries(kept),
    ...Object.fromEntries(settings),
    architectures: [`${modelTypes[config.modelType]}ForSequenceClassification`],
    dtype,
    id2label: Object.fromEntries(labels.map((label, index) => [index, label])),
    label2id: Object.fromEntries(labels.map((label, index) => [label, index])),
    model_type: config.modelType,
    problem_type: config.problemType,
    ...ownKey(head, config),
  };
}

/** What only this library asks of a classifier. */
function ownKey(head: HeadKind, { pairs, thresholds, temperature, longTexts }: ModelConfig): Record<string, unknown> {
  const own = {
    ...(head === 'probe' && { head }),
    ...(pairs !== null && { pairs }),
    ...(thresholds && { thresholds }),
    ...(temperature !== null && { temperature }),
    ...(longTexts && { long_texts: longTexts }),
  };
  return Object.keys(own).length === 0 ? {} : { bertune: own };
}

/** Keys that the new file says in another way, or that would be wrong in it. */
const SUPERSEDED = ['bertune', 'torch_dtype', 'num_labels', 'finetuning_task'];

/**
 * Checks that a config.json is that of a model that is read here.
 *
 * @param source the file, for messages
 * @returns its model_type
 * @throws BertuneError CHECKPOINT_INVALID naming what to take instead
 */
export function expectSupported(raw: Record<string, unknown>, source: string): string {
  const type = modelTypeOf(raw);
  if (typeof type === 'string' && SUPPORTED_TYPES.includes(type)) return type;
  const known = SUPPORTED_TYPES.map((name) => JSON.stringify(name)).join(', ');
  const isNamed = typeof type === 'string' && type !== '';
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected one of the model types ${known} in ${source} but found ${JSON.stringify(type) ?? 'none'}` +
      (isNamed ? `: models of this kind are not supported; ${alternativeTo(type)}` : ''),
  );
}

/** Reads typed values, with errors that name key, expectation and finding. */
class Reader {
  readonly #raw: Record<string, unknown>;
  readonly #source: string;
  readonly #keys: ConfigKeys;

  constructor(raw: Record<string, unknown>, source: string, keys: ConfigKeys) {
    this.#raw = raw;
    this.#source = source;
    this.#keys = keys;
  }

  size(field: ConfigField, max = Number.MAX_SAFE_INTEGER): number {
    const expected = max < Number.MAX_SAFE_INTEGER ? `an integer from 1 to ${max}` : 'a positive integer';
    return this.number(field, expected, (value) => Number.isInteger(value) && value > 0 && value <= max);
  }

  dropout(field: ConfigField): number {
    return this.number(field, 'a number from 0 to below 1', (value) => value >= 0 && value < 1);
  }

  number(field: ConfigField, expected: string, test: (value: number) => boolean): number {
    const value = this.#value(field);
    // 1e400 in JSON is an infinity, and 1e300 is one in fp32.
    if (typeof value !== 'number' || !Number.isFinite(Math.fround(value)) || !test(value)) {
      throw this.invalid(this.#keys[field].key!, expected);
    }
    return value;
  }

  oneOf(field: ConfigField, known: readonly string[]): string {
    const value = this.#value(field);
    if (typeof value === 'string' && known.includes(value)) return value;
    throw this.invalid(this.#keys[field].key!, known.map((name) => JSON.stringify(name)).join(', '));
  }

  /** An absent key means the default; an explicit null, that there is no padding token. */
  padding(vocabSize: number, isNeeded: boolean): number | null {
    const { key, default: fallback } = this.#keys.padTokenId;
    const value = this.#raw[key!] === undefined ? fallback : this.#raw[key!];
    if (value === null && !isNeeded) return null;
    if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < vocabSize) return value as number;
    const expected = `a token id below ${this.#keys.vocabSize.key}, which is ${vocabSize},`;
    throw this.invalid(key!, isNeeded ? expected : `null or ${expected}`);
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

  isDefault(field: ConfigField): boolean {
    const { key } = this.#keys[field];
    return key === null || (this.#raw[key] ?? null) === null;
  }

  #value(field: ConfigField): unknown {
    return this.isDefault(field) ? this.#keys[field].default : this.#raw[this.#keys[field].key!];
  }

  thresholds(): Record<string, number> | null {
    const { bertune } = this.#raw;
    const thresholds = isObject(bertune) ? (bertune.thresholds ?? null) : null;
    if (thresholds === null || isThresholds(thresholds)) return thresholds;
    throw this.invalid('bertune', 'numbers from 0 to 1 for thresholds');
  }

  temperature(): number | null {
    const { bertune } = this.#raw;
    const temperature = isObject(bertune) ? (bertune.temperature ?? null) : null;
    if (temperature === null || isTemperature(temperature)) return temperature;
    throw this.invalid('bertune', 'a positive number for temperature');
  }

  longTexts(): LongTexts | null {
    const { bertune } = this.#raw;
    const longTexts = isObject(bertune) ? (bertune.long_texts ?? null) : null;
    if (longTexts === null || isLongTexts(longTexts)) return longTexts;
    throw this.invalid('bertune', LONG_TEXTS_FORM);
  }

  invalid(key: string, expected: string): BertuneError {
    return invalidValue(this.#source, key, expected, this.#raw[key]);
  }
}

/** Whether a value of a file can divide logits. */
export function isTemperature(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && Number.isFinite(value);
}

/** Whether a value of a file is a threshold per label. */
export function isThresholds(value: unknown): value is Record<string, number> {
  return isObject(value) && Object.values(value).every((each) => typeof each === 'number' && each >= 0 && each <= 1);
}

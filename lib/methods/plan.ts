import { architectureOf, type ModelConfig, SUPPORTED_TYPES } from '../architectures/index.js';
import {
  encoderRows,
  type HeadKind,
  headRows,
  lowRankRows,
  type ParameterRow,
  prefixRows,
} from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { expectOneOf, expectPositiveInteger, invalidOption, MOST_INT32 } from '../options/validation.js';
import type { MethodPlan, PlannedParameter } from './method.js';
import { definitionOf, expectMethod, type Method } from './registry.js';

/** How many parameters there are. */
export interface ParameterCounts {
  trainable: number;
  /** All parameters that a forward pass uses. */
  total: number;
}

/**
 * What a method makes of a model. Needs no weights, so that parameters can be counted without any.
 *
 * @param method null: the model as it is, nothing trains
 * @param config the model's dimensions
 * @param labels number of classes
 * @param head the model's head so far. Defaults to 'classifier'.
 * @throws BertuneError INVALID_OPTION when the method does not fit the model, or nothing is left to train
 */
export function methodPlan(
  method: Method | null,
  config: ModelConfig,
  labels: number,
  head: HeadKind = 'classifier',
): MethodPlan {
  const definition = method && definitionOf(method.kind);
  const planned: Omit<MethodPlan, 'parameters'> = {
    head: definition?.head(head) ?? head,
    probeDropout: definition?.probeDropout?.(method!) ?? 0,
    lora: definition?.lora?.(method!, config) ?? null,
    prefix: definition?.prefix?.(method!) ?? null,
  };
  if (planned.prefix && planned.prefix.virtualTokens + 2 > config.maxTokens) {
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected at most ${config.maxTokens - 2} virtual tokens, so that [CLS] and [SEP] fit the model's ` +
        `${config.maxTokens} positions, but received ${planned.prefix.virtualTokens}`,
    );
  }
  const rows = parameterRows(planned, config, labels);
  definition?.check?.(method!, rows, config);
  const parameters = rows.map((row) => ({
    ...row,
    trainable: definition?.trains(method!, row, planned.lora) ?? false,
    rate: definition?.rate?.(method!, row) ?? 1,
  }));
  if (method !== null && !parameters.some(({ trainable }) => trainable)) {
    throw new BertuneError('INVALID_OPTION', `${option('freeze')} matches every parameter; nothing is left to train`);
  }
  return { ...planned, parameters };
}

/** The names of the parameters that a plan trains. */
export function trainedNames({ parameters }: MethodPlan): string[] {
  return parameters.filter(({ trainable }) => trainable).map(({ name }) => name);
}

/**
 * How many parameters a method uses and trains.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function countParameters(
  method: Method | null,
  config: ModelConfig,
  labels: number,
  head?: HeadKind,
): ParameterCounts {
  return countPlan(
    methodPlan(
      method === null ? null : expectMethod('method', method),
      expectConfig('config', config),
      expectPositiveInteger('labels', labels, MOST_INT32),
      expectOneOf('head', head ?? 'classifier', ['classifier', 'probe']),
    ),
  );
}

/** Layers of a config.json, far above any model. */
const MOST_LAYERS = 10_000;

/** The dimensions that a plan depends on. */
function expectConfig(name: string, value: unknown): ModelConfig {
  if (typeof value !== 'object' || value === null) throw invalidOption(name, 'the config of a TextClassifier', value);
  const config = { ...(value as ModelConfig) };
  expectOneOf(`${name}.modelType`, config.modelType, SUPPORTED_TYPES);
  const sizes = ['vocabSize', 'embeddingSize', 'hiddenSize', 'feedForwardSize', 'maxPositions'] as const;
  const hasTypes = architectureOf(config).embeddings.tokenType !== null;
  for (const key of hasTypes ? ([...sizes, 'typeVocabSize'] as const) : sizes) {
    expectPositiveInteger(`${name}.${key}`, config[key], MOST_INT32);
  }
  expectPositiveInteger(`${name}.layers`, config.layers, MOST_LAYERS);
  return config;
}

/** How many parameters a plan has and trains. */
export function countPlan(plan: MethodPlan): ParameterCounts {
  const count = (rows: readonly PlannedParameter[]) =>
    rows.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  return { trainable: count(plan.parameters.filter(({ trainable }) => trainable)), total: count(plan.parameters) };
}

function parameterRows(
  { head, lora, prefix }: Omit<MethodPlan, 'parameters'>,
  config: ModelConfig,
  labels: number,
): ParameterRow[] {
  return [
    // A probe stands on the encoder: on its pooler, or where it has none on the first token.
    ...encoderRows(config),
    ...(lora ? lora.updates.flatMap(({ weight, rank }) => lowRankRows(weight, rank, lora.dora)) : []),
    ...(prefix ? prefixRows(config, prefix.virtualTokens, prefix.projection) : []),
    ...headRows(config, head, labels),
  ];
}

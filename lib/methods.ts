import { resolveTargets } from './adapter/targets.js';
import { architectureOf, type ModelConfig } from './architectures/index.js';
import { encoderRows, type HeadKind, headRows, prefixRows } from './architectures/rows.js';
import { lowRankRows, type ParameterRow } from './architectures/table.js';
import { BertuneError } from './errors.js';
import { option } from './option-names.js';
import {
  expectBoolean,
  expectNames,
  expectNumberInRange,
  expectObject,
  expectOneOf,
  expectPositiveInteger,
  invalidOption,
  isArray,
  MOST_INT32,
} from './options.js';

/*
 * The ways to train, and the one place that says which parameters each of them trains. A new method is a type and its
 * function here, and an entry in RULES.
 */

/** Every parameter trains, but for those that `freeze` names. */
export interface FullMethod {
  readonly kind: 'full';
  /** Parts of parameter names, at whole dots: 'embeddings', 'encoder.layer.0', 'LayerNorm'. */
  readonly freeze: readonly string[];
}

/** The encoder and the pooler are frozen; a two-layer head on the pooled output trains. */
export interface LinearMethod {
  readonly kind: 'linear';
  /** Probability of dropping inside the head. */
  readonly dropout: number;
}

/** The model is frozen; keys and values of virtual tokens in front of every layer's own train, and the head. */
export interface PrefixMethod {
  readonly kind: 'prefix';
  /** P */
  readonly virtualTokens: number;
  /** Whether they come out of a network, Embedding(P, C) → Linear(C, C) → tanh → Linear(C, 2LC), or are trained directly. */
  readonly projection: boolean;
  readonly trainHead: boolean;
}

/** The model is frozen; low-rank updates of some of its Linear modules train, and the head. */
export interface LoraMethod {
  readonly kind: 'lora';
  /** r */
  readonly rank: number;
  /** The update is scaled by alpha / rank. */
  readonly alpha: number;
  /** Probability of dropping an input of the update. */
  readonly dropout: number;
  /** Modules by name or by the end of it ('query', 'attention.output.dense'), or 'all-linear'. */
  readonly targets: readonly string[];
  readonly trainHead: boolean;
}

/** A way to train with all its options. */
export type Method = FullMethod | LinearMethod | PrefixMethod | LoraMethod;

/** The word for a way to train. */
export type MethodKind = Method['kind'];

/** Every way to train. */
export const METHOD_KINDS = Object.freeze([
  'full',
  'linear',
  'prefix',
  'lora',
] as const satisfies readonly MethodKind[]);

/** The options of each method. */
const OPTION_KEYS: Record<MethodKind, readonly string[]> = {
  full: ['freeze'],
  linear: ['dropout'],
  prefix: ['virtualTokens', 'projection', 'trainHead'],
  lora: ['rank', 'alpha', 'dropout', 'targets', 'trainHead'],
};

/** Options of `full`. */
export interface FullOptions {
  /**
   * Parts of parameter names, at whole dots: what they name stays frozen, e.g. `['embeddings', 'encoder.layer.0']`.
   * Defaults to none.
   */
  freeze?: readonly string[] | undefined;
}

/** Options of `linear`. */
export interface LinearOptions {
  /** Probability of dropping inside the head, in [0, 1). Defaults to 0.2. */
  dropout?: number | undefined;
}

/** Options of `prefix`. */
export interface PrefixOptions {
  /** P, virtual tokens; P + the text's tokens must fit the model. Defaults to 20. */
  virtualTokens?: number | undefined;
  /** Whether a projection network makes their keys and values while training. Defaults to true. */
  projection?: boolean | undefined;
  /** Whether the classifier trains as well. Defaults to true. */
  trainHead?: boolean | undefined;
}

/** Options of `lora`. */
export interface LoraOptions {
  /** r, the rank of each update. Defaults to 8. */
  rank?: number | undefined;
  /** The update is scaled by alpha / rank. Defaults to 4 · rank. */
  alpha?: number | undefined;
  /** Probability of dropping an input of the update, in [0, 1). Defaults to 0.1. */
  dropout?: number | undefined;
  /** Modules by name or by the end of it, as PEFT's `target_modules`. Defaults to `['query', 'value']`. */
  targets?: readonly string[] | undefined;
  /** Whether the classifier trains as well. Defaults to true. */
  trainHead?: boolean | undefined;
}

/**
 * Full fine-tuning.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function full(options: FullOptions = {}): FullMethod {
  const { freeze = [] } = expectObject('full options', options, OPTION_KEYS.full);
  if (isArray(freeze) && freeze.length === 0) return { kind: 'full', freeze: [] };
  return { kind: 'full', freeze: expectNames('freeze', freeze) };
}

/**
 * Linear probing: a new head LayerNorm(C) → Linear(C, C/2) → ReLU → dropout → LayerNorm(C/2) → Linear(C/2, labels) on the
 * frozen encoder, whose dropout stays on in training.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function linear(options: LinearOptions = {}): LinearMethod {
  const { dropout } = expectObject('linear options', options, OPTION_KEYS.linear);
  return { kind: 'linear', dropout: expectProbability('dropout', dropout ?? 0.2) };
}

/**
 * Prefix tuning (Li and Liang, 2021).
 *
 * @throws BertuneError INVALID_OPTION
 */
export function prefix(options: PrefixOptions = {}): PrefixMethod {
  const given = expectObject('prefix options', options, OPTION_KEYS.prefix);
  return {
    kind: 'prefix',
    virtualTokens: expectPositiveInteger('virtualTokens', given.virtualTokens ?? 20),
    projection: expectBoolean('projection', given.projection ?? true),
    trainHead: expectBoolean('trainHead', given.trainHead ?? true),
  };
}

/**
 * Low-rank adaptation (Hu et al., 2021): W x + b becomes W x + b + alpha / rank · B(A(dropout(x))).
 *
 * @throws BertuneError INVALID_OPTION
 */
export function lora(options: LoraOptions = {}): LoraMethod {
  const given = expectObject('lora options', options, OPTION_KEYS.lora);
  const rank = expectPositiveInteger('rank', given.rank ?? 8, MOST_INT32);
  return {
    kind: 'lora',
    rank,
    alpha: expectNumberInRange('alpha', given.alpha ?? 4 * rank, { min: 0, minExclusive: true }),
    dropout: expectProbability('dropout', given.dropout ?? 0.1),
    targets: expectNames('targets', given.targets ?? ['query', 'value']),
    trainHead: expectBoolean('trainHead', given.trainHead ?? true),
  };
}

/**
 * Checks a method that a caller passes, and fills what it leaves out.
 *
 * @param value what `full()`, `linear()`, `prefix()` or `lora()` returned, or a plain object `{ kind, ...options }`
 * @throws BertuneError INVALID_OPTION
 */
export function expectMethod(name: string, value: unknown): Method {
  const given = expectObject(name, value, ['kind', ...Object.values(OPTION_KEYS).flat()]);
  const { kind, ...options } = given;
  return { full, linear, prefix, lora }[expectOneOf(`${name}.kind`, kind, METHOD_KINDS)](options);
}

/** Low-rank updates of some Linear modules. */
export interface LoraPlan {
  /** Probability of dropping an input of an update. */
  dropout: number;
  updates: readonly {
    /** W of the module. */
    weight: ParameterRow;
    rank: number;
    /** alpha / rank */
    scaling: number;
  }[];
}

/** Virtual tokens in front of every layer's own. */
export interface PrefixPlan {
  virtualTokens: number;
  projection: boolean;
}

/** A parameter under a method. */
export interface PlannedParameter extends ParameterRow {
  trainable: boolean;
}

/** What a method makes of a model: its parts, and its parameters in the order of the model. */
export interface MethodPlan {
  head: HeadKind;
  /** Probability of dropping inside the probe head. */
  probeDropout: number;
  lora: LoraPlan | null;
  prefix: PrefixPlan | null;
  /** Every parameter that a forward pass uses. */
  parameters: readonly PlannedParameter[];
}

/** How many parameters there are. */
export interface ParameterCounts {
  trainable: number;
  /** All that a forward pass uses. */
  total: number;
}

/** What a method adds to the model and what of it trains. */
interface MethodRules<M extends Method> {
  head(current: HeadKind): HeadKind;
  probeDropout?(method: M): number;
  lora?(method: M, config: ModelConfig): LoraPlan;
  prefix?(method: M): PrefixPlan;
  trains(method: M, row: ParameterRow): boolean;
}

const matches = (name: string, part: string) => `.${name}.`.includes(`.${part}.`);

const RULES: { [K in MethodKind]: MethodRules<Extract<Method, { kind: K }>> } = {
  full: {
    head: (current) => current,
    trains: ({ freeze }, { name }) => !freeze.some((part) => matches(name, part)),
  },
  linear: {
    head: () => 'probe',
    probeDropout: ({ dropout }) => dropout,
    trains: (_method, { group }) => group === 'head',
  },
  prefix: {
    head: expectPlainHead,
    prefix: ({ virtualTokens, projection }) => ({ virtualTokens, projection }),
    trains: ({ trainHead }, { group }) => group === 'prefix' || (trainHead && group === 'head'),
  },
  lora: {
    head: expectPlainHead,
    lora: ({ rank, alpha, dropout, targets }, config) => ({
      dropout,
      updates: resolveTargets(targets, config).map((weight) => ({ weight, rank, scaling: alpha / rank })),
    }),
    trains: ({ trainHead }, { group }) => group === 'lora' || (trainHead && group === 'head'),
  },
};

/** An adapter's head is stored as PEFT knows it, which has no probe. */
function expectPlainHead(current: HeadKind): HeadKind {
  if (current === 'classifier') return current;
  throw new BertuneError(
    'INVALID_OPTION',
    "The model's head is a probe, which prefix and lora cannot train; " +
      `use ${option('method', 'linear')} or ${option('method', 'full')}`,
  );
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
  const rules = (
    method === null ? { head: () => head, trains: () => false } : RULES[method.kind]
  ) as MethodRules<Method>;
  const chosen = method as Method;
  const planned: Omit<MethodPlan, 'parameters'> = {
    head: rules.head(head),
    probeDropout: rules.probeDropout?.(chosen) ?? 0,
    lora: rules.lora?.(chosen, config) ?? null,
    prefix: rules.prefix?.(chosen) ?? null,
  };
  if (planned.prefix && planned.prefix.virtualTokens + 2 > config.maxTokens) {
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected at most ${config.maxTokens - 2} virtual tokens, so that [CLS] and [SEP] fit the model's ` +
        `${config.maxTokens} positions, but received ${planned.prefix.virtualTokens}`,
    );
  }
  const rows = parameterRows(planned, config, labels);
  if (method?.kind === 'full') expectMatches(method.freeze, rows, config);
  const parameters = rows.map((row) => ({ ...row, trainable: rules.trains(chosen, row) }));
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
 * How many parameters a method has and trains. Parameters are as in `methodPlan`.
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
  for (const key of ['vocabSize', 'hiddenSize', 'feedForwardSize', 'maxPositions', 'typeVocabSize'] as const) {
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
    ...(lora ? lora.updates.flatMap(({ weight, rank }) => lowRankRows(weight, rank)) : []),
    ...(prefix ? prefixRows(config, prefix.virtualTokens, prefix.projection) : []),
    ...headRows(config, head, labels),
  ];
}

function expectMatches(parts: readonly string[], rows: readonly ParameterRow[], config: ModelConfig): void {
  for (const part of parts) {
    if (rows.some(({ name }) => matches(name, part))) continue;
    const layers = architectureOf(config).layers.split('.').slice(1).join('.');
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('freeze')} names ${JSON.stringify(part)}, which matches no parameter; parameters are called like ` +
        `${rows.at(-1)!.name}, and parts of them like embeddings or ${layers}.0`,
    );
  }
}

function expectProbability(name: string, value: unknown): number {
  return expectNumberInRange(name, value, { min: 0, max: 1, maxExclusive: true });
}

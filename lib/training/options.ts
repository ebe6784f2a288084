import { BertuneError } from '../errors.js';
import { likelyLabels, listLabels, matchLabels } from '../labels.js';
import { expectMethod, full, type Method } from '../methods.js';
import { DEFAULT_BATCH_TOKENS } from '../model/batches.js';
import { option } from '../option-names.js';
import {
  copyArray,
  expectBoolean,
  expectNonNegativeInteger,
  expectNumberInRange,
  expectObject,
  expectOneOf,
  expectPath,
  expectPositiveInteger,
  expectSeed,
  invalidOption,
  isArray,
  MOST_INT32,
  show,
} from '../options.js';
import { SCHEDULES, type ScheduleName } from '../schedule.js';
import {
  defaultEpochs,
  defaultLearningRate,
  defaultLoggingSteps,
  defaultWarmupSteps,
  type TrainingSize,
} from './defaults.js';

/** What the best epoch can be told by. All but the loss: the higher the better. */
export const BEST_METRICS = Object.freeze([
  'loss',
  'accuracy',
  'precision',
  'recall',
  'f1_macro',
  'f1_micro',
  'f1_weighted',
] as const);
/** A metric that the best epoch can be told by. */
export type BestMetric = (typeof BEST_METRICS)[number];

/**
 * Options of a Trainer. Names follow Hugging Face's TrainingArguments where those have them, and so do the defaults of the
 * arithmetic, but for `batchSize` (8 there), `weightDecay` (0 there), `learningRate` (5e-5 there for every method and model,
 * without a warm-up) and `epochs` (3 there).
 */
export interface TrainerOptions {
  /** How to train. Defaults to going on with the model's adapter where it has one, and to `full()` otherwise. */
  method?: Method | undefined;
  /** The highest learning rate. Defaults to `defaultLearningRate` of the method and the model's hidden size. */
  learningRate?: number | undefined;
  /**
   * Passes over the training data; may be fractional. Defaults to 3, and on small data to as many, at most 100, as come
   * to 600 steps (lora: 1,200; prefix: 2,500; linear: 2,000), or to fewer where texts are longer than 128 tokens.
   */
  epochs?: number | undefined;
  /** Optimiser steps, in place of `epochs`, at most 2^31 − 1. Defaults to what the epochs come to. */
  maxSteps?: number | undefined;
  /** Examples a micro-batch, at most 2^20. Defaults to 16. */
  batchSize?: number | undefined;
  /**
   * Micro-batches an optimiser step, at most 1,024; its loss is the mean of theirs. (transformers 5's Trainer adds them up
   * for models that take `num_items_in_batch`, as BERT does: its losses and gradients are this many times as large.)
   * Defaults to 1.
   */
  gradientAccumulation?: number | undefined;
  /** Tokens a batch when evaluating. Speed and memory depend on it, results only in their last bits. Defaults to 1024. */
  evalBatchTokens?: number | undefined;
  /** AdamW's weight decay; not applied to biases and LayerNorms. Defaults to 0.01. */
  weightDecay?: number | undefined;
  /** Global gradient norm to clip to; 0 turns clipping off. Defaults to 1. */
  maxGradNorm?: number | undefined;
  /** Defaults to 0.9. */
  adamBeta1?: number | undefined;
  /** Defaults to 0.999. */
  adamBeta2?: number | undefined;
  /** At least the smallest normal float, 2^-126. Defaults to 1e-8. */
  adamEps?: number | undefined;
  /** How the learning rate falls after the warm-up. Defaults to 'linear'. */
  schedule?: ScheduleName | undefined;
  /** Steps over which the learning rate rises from 0. Defaults to 0, and beside a default `learningRate` to a tenth of all. */
  warmupSteps?: number | undefined;
  /** The same as a share of all steps, in place of `warmupSteps`. Defaults to what is said there. */
  warmupRatio?: number | undefined;
  /** Share of the target spread evenly over all classes, in [0, 1). Applied when evaluating as well. Defaults to 0. */
  labelSmoothing?: number | undefined;
  /**
   * A weight a class: by its name (1 for a class that is not named), or of all in the order of the model's labels (NC); or
   * 'balanced': inversely proportional to how often the class occurs in the training data, as scikit-learn computes it (1
   * for a class that does not occur). Applied when evaluating as well. Defaults to none.
   */
  classWeights?: Readonly<Record<string, number>> | readonly number[] | 'balanced' | undefined;
  /** Of new parameters, the order of examples and dropout: 0 to 2^32 − 1. Defaults to 42. */
  seed?: number | undefined;
  /**
   * Steps between two 'log' events; 'epoch': one at the end of each epoch; 'auto': so many that a run of any length has 50
   * events at most, and seldom fewer than 30. Defaults to 'auto'.
   */
  loggingSteps?: number | 'epoch' | 'auto' | undefined;
  /** Whether to evaluate on the validation split after each epoch. Defaults to 'epoch'. */
  evaluationStrategy?: 'epoch' | 'no' | undefined;
  /** Whether the parameters of the best epoch are put back at the end. Needs a validation split. Defaults to false. */
  loadBestModel?: boolean | undefined;
  /** What the best epoch is told by, on the validation split. Defaults to 'f1_macro'. */
  metricForBest?: BestMetric | undefined;
  /** Evaluations in a row without a better metric after which training stops. Needs a validation split. Defaults to never. */
  earlyStoppingPatience?: number | undefined;
  /** How much better counts as better for early stopping. Defaults to 0. */
  earlyStoppingThreshold?: number | undefined;
  /** Longest text in tokens, special ones included; the rest is cut. Defaults to what the model takes. */
  maxLength?: number | undefined;
  /**
   * Directory of the run's checkpoints, in `checkpoint-N` of step N. A run that is stopped by its signal leaves one too.
   * Its disk needs room for them and for the model. Defaults to none.
   */
  outputDirectory?: string | undefined;
  /** When to save a checkpoint: after each epoch and its evaluation, or every `saveSteps` steps. Defaults to 'no'. */
  saveStrategy?: SaveStrategy | undefined;
  /** Steps between two checkpoints with the strategy 'steps'. Defaults to 500. */
  saveSteps?: number | undefined;
  /**
   * Checkpoints to keep: the latest, and that of the best epoch beside them. Defaults to all.
   */
  saveTotalLimit?: number | undefined;
}

/** When a run saves checkpoints. */
export const SAVE_STRATEGIES = Object.freeze(['no', 'epoch', 'steps'] as const);
/** When a run saves checkpoints. */
export type SaveStrategy = (typeof SAVE_STRATEGIES)[number];

/** TrainerOptions with every default filled in. What depends on the number of examples is open until a run knows it. */
export interface TrainerSettings {
  readonly method: Method;
  readonly learningRate: number;
  /** null: by the size of the data, or what `maxSteps` come to; once a run has begun, what it was. */
  readonly epochs: number | null;
  /** null: as many as the epochs come to. */
  readonly maxSteps: number | null;
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly evalBatchTokens: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  readonly adamBeta1: number;
  readonly adamBeta2: number;
  readonly adamEps: number;
  readonly schedule: ScheduleName;
  /** null: a tenth of all steps; once a run has begun, what it was. */
  readonly warmupSteps: number | null;
  readonly warmupRatio: number;
  readonly labelSmoothing: number;
  /** Numbers in the order of the model's labels. */
  readonly classWeights: readonly number[] | 'balanced' | null;
  readonly seed: number;
  /** 'auto' until a run has begun. */
  readonly loggingSteps: number | 'epoch' | 'auto';
  readonly evaluationStrategy: 'epoch' | 'no';
  readonly loadBestModel: boolean;
  readonly metricForBest: BestMetric;
  /** null: never. */
  readonly earlyStoppingPatience: number | null;
  readonly earlyStoppingThreshold: number;
  /** null: what the model takes. */
  readonly maxLength: number | null;
  /** null: no checkpoints. */
  readonly outputDirectory: string | null;
  readonly saveStrategy: SaveStrategy;
  readonly saveSteps: number;
  /** null: all. */
  readonly saveTotalLimit: number | null;
}

/** The settings of a run: nothing is open any more. */
export interface RunSettings extends TrainerSettings {
  readonly epochs: number;
  readonly warmupSteps: number;
  readonly loggingSteps: number | 'epoch';
}

const OPTION_NAMES = [
  'method',
  'learningRate',
  'epochs',
  'maxSteps',
  'batchSize',
  'gradientAccumulation',
  'evalBatchTokens',
  'weightDecay',
  'maxGradNorm',
  'adamBeta1',
  'adamBeta2',
  'adamEps',
  'schedule',
  'warmupSteps',
  'warmupRatio',
  'labelSmoothing',
  'classWeights',
  'seed',
  'loggingSteps',
  'evaluationStrategy',
  'loadBestModel',
  'metricForBest',
  'earlyStoppingPatience',
  'earlyStoppingThreshold',
  'maxLength',
  'outputDirectory',
  'saveStrategy',
  'saveSteps',
  'saveTotalLimit',
] as const satisfies readonly (keyof TrainerOptions)[];

/** Less is 0 in fp32, and a gradient of 0 then divided by 0. */
const SMALLEST_FLOAT = 2 ** -126;

const BELOW_ONE = { min: 0, max: 1, maxExclusive: true };

/** What defaults depend on in the model that is trained. */
export interface TrainedModel {
  labels: readonly string[];
  hiddenSize: number;
  /** Of its adapter. Defaults to none. */
  method?: Method | null;
}

/**
 * Checks a Trainer's options and fills in defaults.
 *
 * @param given as the caller passed them
 * @param model what is trained: the names of its classes, its hidden size, the method of its adapter where it has one
 * @throws BertuneError INVALID_OPTION
 */
export function resolveTrainerOptions(
  given: TrainerOptions,
  { labels, hiddenSize, method: current = null }: TrainedModel,
): TrainerSettings {
  const options = expectObject('options', given, OPTION_NAMES);
  const method = options.method === undefined ? (current ?? full()) : expectMethod('method', options.method);
  if (options.maxSteps !== undefined && options.epochs !== undefined) {
    throw eitherOr(['epochs', 'maxSteps'], options);
  }
  if (options.warmupSteps !== undefined && options.warmupRatio !== undefined) {
    throw eitherOr(['warmupSteps', 'warmupRatio'], options);
  }
  const learningRate = options.learningRate ?? defaultLearningRate(method, hiddenSize);
  // A rate that was given is the caller's, and so is how it is reached.
  const warmsUp = options.learningRate === undefined && options.warmupRatio === undefined;
  const { epochs, warmupSteps = warmsUp ? null : 0, loggingSteps = 'auto' } = options;
  return Object.freeze({
    method,
    learningRate: expectNumberInRange('learningRate', learningRate, { min: 0 }),
    epochs: epochs === undefined ? null : expectNumberInRange('epochs', epochs, { min: 0, minExclusive: true }),
    maxSteps: options.maxSteps === undefined ? null : expectPositiveInteger('maxSteps', options.maxSteps, MOST_INT32),
    batchSize: expectPositiveInteger('batchSize', options.batchSize ?? 16, MOST_EXAMPLES),
    gradientAccumulation: expectPositiveInteger(
      'gradientAccumulation',
      options.gradientAccumulation ?? 1,
      MOST_BATCHES,
    ),
    evalBatchTokens: expectPositiveInteger('evalBatchTokens', options.evalBatchTokens ?? DEFAULT_BATCH_TOKENS),
    weightDecay: expectNumberInRange('weightDecay', options.weightDecay ?? 0.01, { min: 0 }),
    maxGradNorm: expectNumberInRange('maxGradNorm', options.maxGradNorm ?? 1, { min: 0 }),
    adamBeta1: expectNumberInRange('adamBeta1', options.adamBeta1 ?? 0.9, BELOW_ONE),
    adamBeta2: expectNumberInRange('adamBeta2', options.adamBeta2 ?? 0.999, BELOW_ONE),
    adamEps: expectNumberInRange('adamEps', options.adamEps ?? 1e-8, { min: SMALLEST_FLOAT }),
    schedule: expectOneOf('schedule', options.schedule ?? 'linear', SCHEDULES),
    warmupSteps: warmupSteps === null ? null : expectNonNegativeInteger('warmupSteps', warmupSteps),
    warmupRatio: expectNumberInRange('warmupRatio', options.warmupRatio ?? 0, { min: 0, max: 1 }),
    labelSmoothing: expectNumberInRange('labelSmoothing', options.labelSmoothing ?? 0, BELOW_ONE),
    classWeights: expectClassWeights(options.classWeights, labels),
    seed: expectSeed('seed', options.seed ?? 42),
    loggingSteps:
      loggingSteps === 'epoch' || loggingSteps === 'auto'
        ? loggingSteps
        : expectPositiveInteger('loggingSteps', loggingSteps),
    evaluationStrategy: expectOneOf('evaluationStrategy', options.evaluationStrategy ?? 'epoch', ['epoch', 'no']),
    ...resolveBest(options),
    maxLength: options.maxLength === undefined ? null : expectPositiveInteger('maxLength', options.maxLength),
    ...resolveSaving(options),
  });
}

/** What the settings come to for training examples of a size. */
export function settleSettings(
  settings: TrainerSettings,
  size: TrainingSize,
): { settings: RunSettings; totalSteps: number } {
  const { maxSteps, method, warmupRatio, loggingSteps } = settings;
  const { stepsPerEpoch } = size;
  const epochs = settings.epochs ?? (maxSteps ? maxSteps / stepsPerEpoch : defaultEpochs(method.kind, size));
  const totalSteps = maxSteps ?? Math.ceil(epochs * stepsPerEpoch);
  const warmupSteps = settings.warmupSteps ?? defaultWarmupSteps(totalSteps);
  return {
    settings: Object.freeze({
      ...settings,
      epochs,
      // As transformers: a number of steps, where it is not 0, goes before a share of them.
      warmupSteps: warmupSteps || Math.ceil(warmupRatio * totalSteps),
      loggingSteps: loggingSteps === 'auto' ? defaultLoggingSteps(totalSteps) : loggingSteps,
    }),
    totalSteps,
  };
}

/** Two options that say the same in two ways are both there. */
function eitherOr(names: readonly [keyof TrainerOptions, keyof TrainerOptions], options: TrainerOptions): BertuneError {
  const [first, second] = [option(names[0]), option(names[1])];
  return new BertuneError(
    'INVALID_OPTION',
    `Set either ${first} or ${second}, not both (${second} is ${show(options[names[1]])})`,
  );
}

/** The options about checkpoints. */
function resolveSaving(
  options: TrainerOptions,
): Pick<TrainerSettings, 'outputDirectory' | 'saveStrategy' | 'saveSteps' | 'saveTotalLimit'> {
  const { outputDirectory, saveTotalLimit } = options;
  const saveStrategy = expectOneOf('saveStrategy', options.saveStrategy ?? 'no', SAVE_STRATEGIES);
  if (saveStrategy !== 'no' && outputDirectory === undefined) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('saveStrategy', saveStrategy)} needs ${option('outputDirectory')}, the directory for checkpoints`,
    );
  }
  return {
    outputDirectory: outputDirectory === undefined ? null : expectPath('outputDirectory', outputDirectory),
    saveStrategy,
    saveSteps: expectPositiveInteger('saveSteps', options.saveSteps ?? 500),
    saveTotalLimit: saveTotalLimit === undefined ? null : expectPositiveInteger('saveTotalLimit', saveTotalLimit),
  };
}

/** The options that belong together: they need evaluations. */
function resolveBest(
  options: TrainerOptions,
): Pick<TrainerSettings, 'loadBestModel' | 'metricForBest' | 'earlyStoppingPatience' | 'earlyStoppingThreshold'> {
  const loadBestModel = expectBoolean('loadBestModel', options.loadBestModel ?? false);
  const { earlyStoppingPatience: patience } = options;
  const name = loadBestModel ? 'loadBestModel' : 'earlyStoppingPatience';
  if ((loadBestModel || patience !== undefined) && options.evaluationStrategy === 'no') {
    throw new BertuneError(
      'INVALID_OPTION',
      `${option(name)} needs an evaluation after each epoch; leave out ${option('evaluationStrategy', 'no')}`,
    );
  }
  return {
    loadBestModel,
    metricForBest: expectOneOf('metricForBest', options.metricForBest ?? 'f1_macro', BEST_METRICS),
    earlyStoppingPatience: patience === undefined ? null : expectPositiveInteger('earlyStoppingPatience', patience),
    earlyStoppingThreshold: expectNumberInRange('earlyStoppingThreshold', options.earlyStoppingThreshold ?? 0, {
      min: 0,
    }),
  };
}

/** What the addon takes of a micro-batch and of a step. */
const MOST_EXAMPLES = 2 ** 20;
const MOST_BATCHES = 2 ** 10;

const isAnything = (_item: unknown): _item is unknown => true;

function expectClassWeights(value: unknown, labels: readonly string[]): readonly number[] | 'balanced' | null {
  if (value === undefined) return null;
  if (value === 'balanced') return value;
  if (isArray(value) && value.length !== labels.length) {
    throw invalidOption('classWeights', `balanced or ${labels.length} numbers, one for each label,`, value);
  }
  const given = isArray(value) ? copyArray(value, isAnything).items : weightsByName(value, labels);
  const weights = given.map((weight, i) => expectNumberInRange(`classWeights[${i}]`, weight, { min: 0 }));
  if (!weights.some((weight) => weight > 0)) throw invalidOption('classWeights', 'a weight above 0', value);
  return Object.freeze(weights);
}

/** Weights in the order of the labels. */
function weightsByName(value: unknown, labels: readonly string[]): unknown[] {
  const weights = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  if (weights.length === 0) {
    throw invalidOption(
      'classWeights',
      `balanced, weights by label, or ${labels.length} numbers, one for each label,`,
      value,
    );
  }
  const names = weights.map(([name]) => name);
  const { rows } = matchLabels(names, labels);
  const unknown = names.filter((_, i) => rows[i] === undefined);
  if (unknown.length === 0) return labels.map((_, row) => weights[rows.indexOf(row)]?.[1] ?? 1);
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('classWeights')} names ${listLabels(unknown)}, but the model's classes are ${listLabels(labels)}` +
      likelyLabels(unknown, labels),
  );
}

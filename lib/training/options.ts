import { BertuneError } from '../errors.js';
import { definitionOf, expectMethod, full, type Method, type MethodKind } from '../methods/index.js';
import { DEFAULT_BATCH_TOKENS } from '../model/batches.js';
import {
  expectOneWay,
  TRUNCATIONS,
  type Truncation,
  WINDOW_POOLINGS,
  type WindowPooling,
} from '../options/long-texts.js';
import { option } from '../options/names.js';
import {
  expectTable,
  flag,
  nonNegativeInteger,
  number,
  type OptionRow,
  type OptionsOf,
  oneOf,
  path,
  positiveInteger,
  positiveIntegerOr,
  type SettingsOf,
  seed,
} from '../options/table.js';
import { expectString, invalidOption, MOST_INT32 } from '../options/validation.js';
import { BEST_METRICS, type BestMetric, type Task, type TaskKind, taskOf } from '../tasks/index.js';
import { listLabels, matchLabels } from '../tasks/labels.js';
import { classWeights } from './class-weights.js';
import {
  defaultEpochs,
  defaultLearningRate,
  defaultLoggingSteps,
  defaultWarmupSteps,
  type TrainingSize,
} from './defaults.js';
import { SCHEDULES } from './schedule.js';

export { BEST_METRICS, type BestMetric } from '../tasks/index.js';

/** When a run saves checkpoints. */
export const SAVE_STRATEGIES = Object.freeze(['no', 'epoch', 'steps', 'best'] as const);
/** When a run saves checkpoints. */
export type SaveStrategy = (typeof SAVE_STRATEGIES)[number];

/** On the command line a method is chosen by flags of its own. */
const method: OptionRow<Method> = {
  words: 'how to train',
  flag: null,
  default: undefined,
  placeholder: null,
  expect: expectMethod,
  read: expectMethod,
};

/** Its check depends on the model's labels. */
const labelForBest: OptionRow<string, string | null> = {
  words: 'choose the best epoch by this label alone',
  default: null,
  byDefault: 'all',
  placeholder: '<label>',
  onlyWith: { loadBestModel: true, earlyStoppingPatience: true, saveStrategy: 'best' },
  expect(name, value, context) {
    const { labels } = context as { labels: readonly string[] };
    const [row] = matchLabels([expectString(name, value)], labels).rows;
    if (row !== undefined) return labels[row]!;
    throw invalidOption(name, `one of the model's labels (${listLabels(labels)})`, value);
  },
  read: expectString,
};

/** Null: as the model was trained. */
const truncation: OptionRow<Truncation, Truncation | null> = {
  ...oneOf(TRUNCATIONS, { words: 'what is kept of a longer text', byDefault: 'its start, or as the tokenizer says' }),
  default: null,
};
const windowPooling: OptionRow<WindowPooling, WindowPooling | null> = {
  ...oneOf(WINDOW_POOLINGS, { words: 'how the logits of windows are pooled', byDefault: 'mean' }),
  default: null,
};

/** What the addon takes of a micro-batch and of a step. */
const MOST_EXAMPLES = 2 ** 20;
const MOST_BATCHES = 2 ** 10;

const NOT_NEGATIVE = { min: 0 };
const BELOW_ONE = { min: 0, max: 1, maxExclusive: true };

/** Less is 0 in fp32, and a gradient of 0 then divided by 0. */
const SMALLEST_FLOAT = 2 ** -126;

/** Every option of a Trainer, in the order of the help. A setting of null is open until a run knows it, or off. */
export const TRAINER_OPTIONS = {
  /** How to train. Defaults to continuing with the model's adapter if it has one, and to `full()` otherwise. */
  method,
  /** The peak learning rate. Defaults to `defaultLearningRate` of the method and the model's hidden size. */
  learningRate: number(NOT_NEGATIVE, {
    words: 'peak learning rate',
    byDefault: 'by method and size of the model',
  }),
  /**
   * Passes over the training data; may be fractional. Defaults to 3, and on small data to as many, up to 100, as make
   * 600 steps (prefix: 2,500; linear: 2,000; methods other than full: 1,200), or to fewer if texts are longer than 128 tokens.
   */
  epochs: number(
    { min: 0, minExclusive: true },
    { words: 'passes over the training data', default: null, byDefault: '3, more on small data' },
  ),
  /** Optimizer steps, instead of `epochs`, at most 2^31 − 1. Defaults to the number of steps in `epochs`. */
  maxSteps: positiveInteger({
    words: 'optimizer steps, instead of --epochs',
    most: MOST_INT32,
    default: null,
    insteadOf: 'epochs',
  }),
  /** Examples per micro-batch, at most 2^20. Defaults to 16. */
  batchSize: positiveInteger({ words: 'examples per batch', most: MOST_EXAMPLES, default: 16 }),
  /**
   * Micro-batches per optimizer step, at most 1,024; its loss is the mean of theirs. (transformers 5's Trainer adds them up
   * for models that accept `num_items_in_batch`, as BERT does: its losses and gradients are this many times as large.)
   * Defaults to 1.
   */
  gradientAccumulation: positiveInteger({ words: 'batches per optimizer step', most: MOST_BATCHES, default: 1 }),
  /**
   * Whether layers keep only their inputs in the forward pass, and run again in the backward pass (Chen et al., "Training Deep
   * Nets with Sublinear Memory Cost", 2016): less memory, more time, the same model bit for bit. Defaults to false.
   */
  gradientCheckpointing: flag({ words: 'less memory, more time, the same model', default: false }),
  /** Tokens per batch in evaluation. Affects speed and memory, and only the last bits of results. Defaults to 1024. */
  evalBatchTokens: positiveInteger({ words: 'tokens per batch in evaluation', default: DEFAULT_BATCH_TOKENS }),
  /** How the learning rate falls after the warm-up. Defaults to 'linear'. */
  schedule: oneOf(SCHEDULES, { words: 'how the learning rate falls', default: 'linear' }),
  /** Steps over which the learning rate rises from 0. Defaults to 0, and with a default `learningRate` to a tenth of all steps. */
  warmupSteps: nonNegativeInteger({
    words: 'warm-up steps',
    default: null,
    byDefault: '0; a tenth with the default learning rate',
  }),
  /** Warm-up as a share of all steps, instead of `warmupSteps`. Defaults to the same as `warmupSteps`. */
  warmupRatio: number(
    { min: 0, max: 1 },
    { words: 'warm-up as a share of all steps', default: 0, byDefault: null, insteadOf: 'warmupSteps' },
  ),
  /** How often the schedule 'cosine_with_restarts' starts at the peak rate. Defaults to 1. */
  scheduleCycles: positiveInteger({
    words: 'cycles of cosine_with_restarts',
    default: 1,
    onlyWith: { schedule: 'cosine_with_restarts' },
  }),
  /** The power of the schedule 'polynomial'. Defaults to 1, a straight line. */
  schedulePower: number(
    { min: 0, minExclusive: true },
    { words: 'power of the polynomial schedule', default: 1, onlyWith: { schedule: 'polynomial' } },
  ),
  /** AdamW's weight decay; not applied to biases and LayerNorms. Defaults to 0.01. */
  weightDecay: number(NOT_NEGATIVE, { words: "AdamW's weight decay", default: 0.01 }),
  /**
   * The learning rate of a layer relative to the layer above: the last of L layers learns at this times the run's rate, the
   * embeddings at this to the power of L + 1. The head with its dense layer, and a prefix, learn at the run's rate; LoRA
   * updates like their layers. In (0, 1]. Defaults to 1.
   */
  layerwiseDecay: number(
    { min: 0, minExclusive: true, max: 1 },
    { words: "a layer's learning rate over that of the layer above", default: 1 },
  ),
  /** Global gradient norm to clip to; 0 turns clipping off. Defaults to 1. */
  maxGradNorm: number(NOT_NEGATIVE, { words: 'gradient norm to clip to, 0 for none', default: 1 }),
  /** AdamW's decay of the mean gradient, in [0, 1). Defaults to 0.9. */
  adamBeta1: number(BELOW_ONE, { words: "AdamW's decay of the mean gradient", default: 0.9 }),
  /** AdamW's decay of the mean squared gradient, in [0, 1). Defaults to 0.999. */
  adamBeta2: number(BELOW_ONE, { words: "AdamW's decay of the mean squared gradient", default: 0.999 }),
  /** Added to AdamW's denominator; at least the smallest normal float, 2^-126. Defaults to 1e-8. */
  adamEps: number({ min: SMALLEST_FLOAT }, { words: "added to AdamW's denominator", default: 1e-8 }),
  /** Share of the target spread evenly over all classes, in [0, 1). Also applied in evaluation. Defaults to 0. */
  labelSmoothing: number(BELOW_ONE, { words: 'share of the target spread over all labels', default: 0 }),
  /**
   * γ of the focal loss (Lin et al., 2017), which multiplies the loss of each example, or of each label in a multi-label model,
   * by (1 − p)^γ, where p is the probability of the truth: what is already learned counts for less. It combines with class
   * weights, but not with label smoothing; not for regression. Also applied in evaluation. Defaults to 0, plain cross-entropy.
   */
  focalGamma: number({ min: 0, max: 100 }, { words: 'γ of the focal loss, e.g. 2; 0 for cross-entropy', default: 0 }),
  /**
   * One weight per class: by name (1 for a class that is not named), or for all in the order of the model's labels (NC); or
   * 'balanced': inversely proportional to how often the class occurs in the training data, as scikit-learn computes it (1 for a
   * class that does not occur). Also applied in evaluation. In a multi-label model they weigh each label's part of the loss;
   * not for regression. Defaults to none.
   */
  classWeights,
  /**
   * Multi-label models: for each label, the weight of the examples that have it, `pos_weight` of torch's BCEWithLogitsLoss, in the
   * forms of `classWeights`; 'balanced': the ratio of examples without the label to those with it. Defaults to none.
   */
  positiveWeights: {
    ...classWeights,
    words: 'multi-label: the same for the examples that have the label',
  },
  /**
   * How the examples of an epoch are chosen. 'random': each once, in random order. 'balanced': the same number, drawn with
   * replacement and from every class equally often, so that rare ones repeat; only for models of one class per text.
   * Defaults to 'random'.
   */
  sampling: oneOf(['random', 'balanced'], { words: 'how the examples of an epoch are chosen', default: 'random' }),
  /** Longest text in tokens, including special ones; the rest is truncated, or read in windows. Defaults to the model's limit. */
  maxLength: positiveInteger({ words: 'longest text in tokens', default: null, byDefault: "the model's limit" }),
  /**
   * What is kept of a longer text: 'head' its start, 'tail' its end, 'head-tail' a quarter from its start and three quarters
   * from its end (Sun et al., "How to Fine-Tune BERT for Text Classification?", 2019), 'halves' half from each. Saved with the
   * model, which then predicts that way. Defaults to what the model was trained with, or else the side that the tokenizer
   * keeps, usually the start.
   */
  truncation,
  /**
   * Reads a longer text in windows of `maxLength` tokens that share this many with the window before, at most half. Each window
   * is an example with the labels of its text; in evaluation and prediction, the logits of a text's windows are pooled. Saved
   * with the model. Defaults to none.
   */
  stride: nonNegativeInteger({
    words: 'read longer texts in windows that share this many tokens',
    default: null,
    byDefault: 'no windows',
  }),
  /** How the logits of a text's windows are pooled: their mean, or the highest of each label. Saved with the model. Defaults to 'mean'. */
  windowPooling,
  /** Seed of new parameters, the order of examples and dropout: 0 to 2^32 − 1. Defaults to 42. */
  seed: seed({ words: 'seed of new weights, example order and dropout', default: 42 }),
  /**
   * Steps between two 'log' events; 'epoch': one at the end of each epoch; 'auto': at most 50 events per run of any length, and
   * rarely fewer than 30. Defaults to 'auto'.
   */
  loggingSteps: positiveIntegerOr(
    ['epoch', 'auto'],
    { words: 'steps between log rows, or epoch', default: 'auto', byDefault: '30 to 50 rows per run' },
    ['auto'],
  ),
  /**
   * When to evaluate on the validation split: after each epoch, or every `evalSteps` steps and at the end. With
   * steps, the best evaluation takes the place of the best epoch. Defaults to 'epoch'.
   */
  evaluationStrategy: oneOf(['epoch', 'steps', 'no'], {
    words: 'when to use the validation split',
    default: 'epoch',
    flag: '--eval',
  }),
  /** Steps between two evaluations with the strategy 'steps'. Defaults to 500. */
  evalSteps: positiveInteger({
    words: 'steps between evaluations, with --eval steps',
    default: 500,
    onlyWith: { evaluationStrategy: 'steps' },
  }),
  /** Whether to restore the parameters of the best epoch at the end. Needs a validation split. Defaults to false. */
  loadBestModel: flag({ words: 'restore the best epoch at the end', default: false, flag: '--load-best' }),
  /**
   * What decides which epoch is best on the validation split: a metric of the task, or the loss. For the loss, MSE and MAE,
   * lower is better. Defaults to 'f1_macro', for a multi-label model to 'f1_micro', for regression to 'mse'.
   */
  metricForBest: oneOf(BEST_METRICS, {
    words: 'metric that decides which epoch is best',
    byDefault: 'f1_macro; multi-label f1_micro, regression mse',
  }),
  /**
   * The one label whose precision, recall or F1 decides which epoch is best. `metricForBest` says which of these; 'f1_macro'
   * and 'f1_micro' then mean the F1 of this label. Not for regression. Defaults to none: all labels count.
   */
  labelForBest,
  /**
   * Multi-label models: whether to choose, at the end, the threshold with the highest F1 on the validation split for each
   * label. They are saved with the model. Needs a validation split. Defaults to false: 0.5 for all.
   */
  tuneThresholds: flag({ words: 'multi-label: tune thresholds on the validation split', default: false }),
  /**
   * Whether to fit, at the end and on the validation split, a temperature to divide logits by, so that a score of 0.8 is right
   * eight times out of ten (Guo et al., 2017). It is saved with the model and used from then on, also in ONNX; thresholds are tuned
   * after it. Needs a validation split; not for regression. Defaults to false.
   */
  calibrate: flag({ words: 'calibrate scores on the validation split', default: false }),
  /** Evaluations in a row without a better metric after which training stops. Needs a validation split. Defaults to never. */
  earlyStoppingPatience: positiveInteger({
    words: 'stop after this many evaluations without improvement',
    default: null,
    flag: '--early-stopping',
  }),
  /** The smallest change that counts as an improvement for early stopping. Defaults to 0. */
  earlyStoppingThreshold: number(NOT_NEGATIVE, {
    words: 'smallest change that counts as an improvement',
    default: 0,
    onlyWith: { earlyStoppingPatience: true },
  }),
  /**
   * 'auto': processes that mpirun, mpiexec, srun or torchrun started together train one model. Each takes a part of every
   * batch, all get the same results, and only the first writes. 'none': each trains by itself. Defaults to 'auto'.
   */
  distributed: oneOf(['auto', 'none'], {
    words: 'whether processes started by mpirun, srun or torchrun train one model together',
    default: 'auto',
  }),
  /** Seconds that these processes wait for each other before a run ends with RANK_LOST. Defaults to 30. */
  collectiveTimeout: number(
    { min: 0, minExclusive: true, max: 1e6 },
    { words: 'seconds that these processes wait for each other', default: 30 },
  ),
  /**
   * Directory for the run's checkpoints: `checkpoint-N` is that of step N. A run stopped by its signal also saves one. There
   * must be room for them and for the model. Defaults to none.
   */
  outputDirectory: path({ words: 'directory of checkpoints', default: null, flag: null }),
  /**
   * When to save a checkpoint: after each epoch and its evaluation, every `saveSteps` steps, or after each evaluation that is
   * the best so far. Defaults to 'no'.
   */
  saveStrategy: oneOf(SAVE_STRATEGIES, {
    words: 'when to save a checkpoint in --output',
    default: 'no',
    group: 'Checkpoints',
  }),
  /** Steps between two checkpoints with the strategy 'steps'. Defaults to 500. */
  saveSteps: positiveInteger({
    words: 'steps between checkpoints, with --save-strategy steps',
    default: 500,
    onlyWith: { saveStrategy: 'steps' },
    group: 'Checkpoints',
  }),
  /** Checkpoints to keep: the latest ones, plus that of the best epoch. Defaults to all. */
  saveTotalLimit: positiveInteger({
    words: 'checkpoints to keep, besides that of the best epoch',
    default: null,
    byDefault: 'all',
    group: 'Checkpoints',
  }),
};

/**
 * Options of a Trainer. Names and defaults follow Hugging Face's TrainingArguments where it has them, except for `batchSize` (8
 * there), `weightDecay` (0 there), `learningRate` (5e-5 there for every method and model, without a warm-up) and `epochs` (3
 * there).
 */
export interface TrainerOptions extends OptionsOf<typeof TRAINER_OPTIONS> {}

/** What means something with a method that is solved for at once, and not trained in steps. */
export const FITTED_OPTIONS: readonly (keyof TrainerOptions)[] = [
  ...(['method', 'evalBatchTokens', 'classWeights', 'positiveWeights', 'seed'] as const),
  ...(['maxLength', 'truncation', 'stride', 'windowPooling'] as const),
  ...(['evaluationStrategy', 'metricForBest', 'tuneThresholds', 'calibrate'] as const),
  ...(['distributed', 'collectiveTimeout', 'outputDirectory'] as const),
];

/** Whether an option, set to a value, means something with a method. */
export function isOptionOf(method: MethodKind, name: string, value: unknown): boolean {
  if (!definitionOf(method).isFitted) return true;
  return (FITTED_OPTIONS as readonly string[]).includes(name) && !(name === 'evaluationStrategy' && value === 'steps');
}

/** Options, or settings, without those that mean nothing with a method. */
export function optionsOf<T extends object>(method: MethodKind, options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => isOptionOf(method, name, value))) as T;
}

/**
 * TrainerOptions with every default filled in. null means: not known before a run (`epochs`, `maxSteps`, `warmupSteps`), the
 * model's limit (`maxLength`), or off.
 */
export interface TrainerSettings extends SettingsOf<typeof TRAINER_OPTIONS> {}

/** The settings of a run: nothing is open any more. */
export interface RunSettings extends TrainerSettings {
  readonly epochs: number;
  readonly warmupSteps: number;
  readonly loggingSteps: number | 'epoch';
}

/** What defaults depend on in the model that is trained. */
export interface TrainedModel {
  labels: readonly string[];
  /** Defaults to single-label. */
  task?: TaskKind;
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
export function resolveTrainerOptions(given: TrainerOptions, model: TrainedModel): TrainerSettings {
  const settings = expectTable('options', given, TRAINER_OPTIONS, model);
  const method = settings.method ?? model.method ?? full();
  expectMethodOptions(given, method.kind);
  expectCheckpointPlace(settings);
  expectEvaluations(settings);
  expectOneWay(settings);
  const task = taskOf(model.task);
  expectTaskOptions(settings, task);
  const hasOwnRate = settings.learningRate !== undefined;
  // A rate that was given is the caller's, and so is how it is reached.
  const warmsUp = !hasOwnRate && given.warmupRatio === undefined;
  return Object.freeze({
    ...settings,
    method,
    metricForBest: settings.metricForBest ?? task.bestMetric,
    learningRate: hasOwnRate ? settings.learningRate : usualRate(method, model.hiddenSize),
    warmupSteps: settings.warmupSteps ?? (warmsUp ? null : 0),
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

/** The default rate; 0 of a method that has none. */
function usualRate(method: Method, hiddenSize: number): number {
  return definitionOf(method.kind).isFitted ? 0 : defaultLearningRate(method, hiddenSize);
}

/** @throws BertuneError INVALID_OPTION for what has no effect with the method */
function expectMethodOptions(given: TrainerOptions, kind: MethodKind): void {
  const odd = (Object.keys(given) as (keyof TrainerOptions)[]).find(
    (name) => given[name] !== undefined && !isOptionOf(kind, name, given[name]),
  );
  if (odd === undefined) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${odd === 'evaluationStrategy' ? option(odd, given[odd]) : option(odd)} has no effect with ${option('method', kind)}, ` +
      'which is not trained in steps; leave it out',
  );
}

/** @throws BertuneError INVALID_OPTION for what has no effect in the task */
function expectTaskOptions(settings: TrainerSettings, task: Task): void {
  const { labelSmoothing, focalGamma, classWeights, positiveWeights, metricForBest, tuneThresholds, calibrate } =
    settings;
  const used = [
    ...(labelSmoothing > 0 ? (['labelSmoothing'] as const) : []),
    ...(focalGamma > 0 ? (['focalGamma'] as const) : []),
    ...(classWeights === null ? [] : (['classWeights'] as const)),
    ...(positiveWeights === null ? [] : (['positiveWeights'] as const)),
  ];
  const odd =
    used.find((name) => !task.lossOptions.includes(name)) ??
    (settings.sampling === 'balanced' && task.labels !== 'class' ? 'sampling' : undefined) ??
    (tuneThresholds && task.labels !== 'classes' ? 'tuneThresholds' : undefined) ??
    (calibrate && task.labels === 'values' ? 'calibrate' : undefined);
  if (odd !== undefined)
    throw new BertuneError('INVALID_OPTION', `${option(odd)} has no effect in ${task.title}; leave it out`);
  if (labelSmoothing > 0 && focalGamma > 0) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('focalGamma')} assumes labels that are certain, and ${option('labelSmoothing')} makes them less so; leave one of them out`,
    );
  }
  if (settings.labelForBest !== null) expectLabelMetric(metricForBest ?? task.bestMetric, task);
  const names = task.metrics.map(({ name }) => name);
  if (metricForBest === undefined || metricForBest === 'loss' || names.includes(metricForBest)) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('metricForBest', metricForBest)} is no metric of ${task.title}; choose one of loss, ${names.join(', ')}`,
  );
}

/** @throws BertuneError INVALID_OPTION for a metric that one label by itself does not have */
function expectLabelMetric(metric: BestMetric, { title, labels }: Task): void {
  if (labels === 'values') {
    throw new BertuneError('INVALID_OPTION', `${option('labelForBest')} has no effect in ${title}; leave it out`);
  }
  if (labelMetric(metric) !== null) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('metricForBest', metric)} is of all labels, but ${option('labelForBest')} names one; choose precision, recall or f1_macro`,
  );
}

/** What a metric is called of one label by itself; null where one has none. */
export function labelMetric(metric: BestMetric): 'precision' | 'recall' | 'f1' | null {
  if (metric === 'precision' || metric === 'recall') return metric;
  return metric === 'f1_macro' || metric === 'f1_micro' ? 'f1' : null;
}

/** @throws BertuneError INVALID_OPTION for checkpoints without a directory */
function expectCheckpointPlace({ saveStrategy, outputDirectory }: TrainerSettings): void {
  if (saveStrategy === 'no' || outputDirectory !== null) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('saveStrategy', saveStrategy)} needs ${option('outputDirectory')}, the directory for checkpoints`,
  );
}

/** @throws BertuneError INVALID_OPTION for what needs evaluations without any */
function expectEvaluations(settings: TrainerSettings): void {
  const name = needingEvaluations(settings);
  if (settings.evaluationStrategy !== 'no' || name === undefined) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${name === 'saveStrategy' ? option(name, 'best') : option(name)} needs evaluations; leave out ${option('evaluationStrategy', 'no')}`,
  );
}

/** The option that needs evaluations, if there is one. */
export function needingEvaluations({
  loadBestModel,
  earlyStoppingPatience,
  tuneThresholds,
  calibrate,
  saveStrategy,
}: TrainerSettings): keyof TrainerSettings | undefined {
  if (loadBestModel) return 'loadBestModel';
  if (earlyStoppingPatience !== null) return 'earlyStoppingPatience';
  if (tuneThresholds) return 'tuneThresholds';
  if (saveStrategy === 'best') return 'saveStrategy';
  return calibrate ? 'calibrate' : undefined;
}

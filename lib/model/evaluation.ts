import { type AlignedSplit, alignSplit, expectSplit } from '../data/split.js';
import type { RankGroup } from '../distributed/group.js';
import { BertuneError } from '../errors.js';
import { calibrationError, fitTemperature } from '../metrics/calibration.js';
import { bestThresholds } from '../metrics/multi-label.js';
import { argmaxRows, sigmoid, softmax } from '../metrics/single-label.js';
import type { NativeSession } from '../native/index.js';
import type { WindowPooling } from '../options/long-texts.js';
import { option } from '../options/names.js';
import { customScores, type MetricFunctions } from '../tasks/custom-metrics.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { type LossOptions, type Numbers, type Task, taskOf, usualTask } from '../tasks/index.js';
import { listLabels } from '../tasks/labels.js';
import { mostMistaken } from '../tasks/mistakes.js';
import { calibrated, type Decision, decisionOf, expectFiniteLogits, type Output } from '../tasks/prediction.js';
import { TimeSlice } from '../time-slice.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import { type BatchPlan, everyNth } from './batches.js';
import type { AnyClassifier } from './classifier.js';
import { forwardBatches } from './forward.js';
import { flattened, type LogitsOptions, withLogits } from './logits.js';
import type { Values } from './session.js';
import { pooledLogits } from './windows.js';

/** A split as token ids, in a session. */
export interface LoadedSplit extends AlignedSplit {
  encoded: EncodedTexts;
  /** Of the dataset in the session. */
  handle: number;
  batches: BatchPlan;
  /** What the logits of a text's windows come to. */
  pooling: WindowPooling;
  /** Of the caller's. Defaults to none. */
  metrics?: MetricFunctions | undefined;
}

/** Rows at a time between two looks at the clock. */
const BLOCK = 512;

/** How a model is measured. */
export interface EvaluationOptions extends Omit<LogitsOptions, 'adapters'> {
  /** Name of the adapter to measure; null: the model itself. */
  adapter: string | null;
  /** Above which labels are predicted; null: the model's own thresholds. */
  threshold: number | null;
  /** Defaults to neither smoothing nor weights. */
  loss?: LossOptions;
  /** Of the caller's. Defaults to none. */
  metrics?: MetricFunctions | undefined;
  /** How many of the examples that the model is most wrong about are told. Defaults to none. */
  mistakes?: number | undefined;
}

/** Measures a model, or an adapter beside it, on a split. Errors as TextClassifier.evaluate. */
export async function evaluateModel(
  model: AnyClassifier,
  split: unknown,
  { adapter, threshold, loss = PLAIN_LOSS, metrics, mistakes, ...options }: EvaluationOptions,
): Promise<EvaluateResult> {
  const output = model.adapters.find(({ name }) => name === adapter) ?? model;
  const own = expectTaskSplit('split', split, output);
  const { signal } = options;
  const adapters = new Array<string | null>(own.split.texts.length).fill(adapter);
  return withLogits(model, own.split, { ...options, adapters }, async (rows) => {
    const { batches, encoded } = rows;
    const began = performance.now() - 1000 * rows.runtime;
    const { logits } = await flattened(rows, signal);
    return measure(logits, { ...own, metrics, mistakes }, decisionOf(output, threshold), loss, {
      began,
      batches,
      truncated: encoded.truncated,
    });
  });
}

/**
 * A split whose labels are a model's, matched by name.
 *
 * @param name what the split is called in messages
 * @throws BertuneError INVALID_OPTION, INVALID_DATA, also for labels of another task
 */
export function expectTaskSplit(name: string, split: unknown, { task, labels }: Pick<Output, 'task' | 'labels'>) {
  expectTrainable(task, labels);
  const own = expectSplit(name, split);
  if (own.task !== task) {
    const [mine, theirs] = [taskOf(task), taskOf(own.task)];
    const needsNew = mine.labels === 'class' || theirs.labels === 'class';
    throw new BertuneError(
      'INVALID_DATA',
      `The model is for ${mine.title}, but ${name} is for ${theirs.title}; load the model with ` +
        `${option('task', own.task)}${needsNew ? ` and ${option('head', 'new')}` : ''}`,
    );
  }
  return alignSplit(name, own, labels);
}

/**
 * Runs a split through a session and measures the outcome.
 *
 * @param signal looked at several times a second
 * @param group the ranks that share the split; null: this process takes all of it
 * @throws BertuneError NON_FINITE_LOGITS naming the text; ABORTED, OUT_OF_MEMORY
 */
export async function evaluateSplit(
  native: NativeSession,
  loaded: LoadedSplit,
  decision: Decision,
  options: LossOptions,
  signal: AbortSignal | undefined,
  group: RankGroup | null = null,
): Promise<EvaluateResult> {
  const began = performance.now();
  const logits = await splitLogits(native, loaded, decision.thresholds.length, signal, group);
  const { truncated } = loaded.encoded;
  return measure(logits, loaded, decision, options, { began, batches: loaded.batches.starts.length - 1, truncated });
}

/** The calibration of scores on the validation split. */
export interface Calibration {
  /** What logits are divided by: above 1 if the model was overconfident, below 1 if it was underconfident. */
  temperature: number;
  /** Expected calibration error before, in [0, 1]. */
  eceBefore: number;
  /** Expected calibration error after. */
  eceAfter: number;
}

/** What was fitted to a split after training. */
interface Fitted {
  /** null: not asked for. */
  calibration: Calibration | null;
  /** By label; null: not asked for. */
  thresholds: Record<string, number> | null;
}

/**
 * Fits to a split what turns logits into decisions: the temperature, then for each label the threshold that gives it the highest
 * F1 of the calibrated scores; see `fitTemperature` and `bestThresholds`.
 *
 * @throws BertuneError ABORTED, OUT_OF_MEMORY
 */
export async function fitDecision(
  native: NativeSession,
  loaded: LoadedSplit,
  wish: { calibrate: boolean; tuneThresholds: boolean },
  signal: AbortSignal | undefined,
  group: RankGroup | null = null,
): Promise<Fitted> {
  const { task, labels, labelNames } = loaded.split;
  const logits = await splitLogits(native, loaded, labelNames.length, signal, group);
  const calibration = wish.calibrate ? calibrate(logits, labels, labelNames.length, taskOf(task)) : null;
  if (!wish.tuneThresholds) return { calibration, thresholds: null };
  const scores = sigmoid(calibrated(logits, calibration?.temperature ?? null));
  const best = bestThresholds(scores, labels, labelNames.length);
  return { calibration, thresholds: Object.fromEntries(labelNames.map((label, c) => [label, best[c]!])) };
}

function calibrate(logits: Values, labels: Numbers, classes: number, { activation }: Task): Calibration {
  const isOneClass = activation === 'softmax';
  const temperature = fitTemperature(logits, { activation: isOneClass ? 'softmax' : 'sigmoid', classes, labels });
  const errorOf = (rows: Values) => {
    if (!isOneClass) return calibrationError(sigmoid(rows), (i) => labels[i] !== 0);
    const best = argmaxRows(rows, classes);
    const scores = softmax(rows, classes);
    const confidences = Float64Array.from(best, (label, i) => scores[i * classes + label]!);
    return calibrationError(confidences, (i) => labels[i] === best[i]);
  };
  return { temperature, eceBefore: errorOf(logits), eceAfter: errorOf(calibrated(logits, temperature)) };
}

/** Logits (N, NC) of a split. */
async function splitLogits(
  native: NativeSession,
  loaded: LoadedSplit,
  classes: number,
  signal: AbortSignal | undefined,
  group: RankGroup | null,
): Promise<Values> {
  const logits = await sequenceLogits(native, loaded, classes, signal, group);
  return pooledLogits(logits, loaded.encoded.windows, classes, loaded.pooling);
}

/** Those of each of its sequences. Ranks take turns at the batches, and each gets all. */
async function sequenceLogits(
  native: NativeSession,
  { handle, batches }: LoadedSplit,
  classes: number,
  signal: AbortSignal | undefined,
  group: RankGroup | null,
): Promise<Values> {
  if (group === null) return forwardBatches(native, handle, batches, signal);
  const { rank, size } = group.ranks;
  const examples = batches.order.length;
  const own = await forwardBatches(native, handle, everyNth(batches, rank, size), undefined, examples);
  return group.sum(own.length > 0 ? Float64Array.from(own) : new Float64Array(examples * classes));
}

/** One class by itself has a score, and nothing to tell it from. @throws BertuneError INVALID_OPTION */
export function expectTrainable(task: Output['task'], labels: readonly string[]): void {
  if (labels.length > 1 || taskOf(task).labels !== 'class') return;
  throw new BertuneError(
    'INVALID_OPTION',
    `A model of one class (${listLabels(labels)}) gives a score and cannot be trained or evaluated as a classifier; ` +
      `use two labels or more, or load it with ${option('task', usualTask('values'))}`,
  );
}

const PLAIN_LOSS: LossOptions = { labelSmoothing: 0, focalGamma: 0, classWeights: null, positiveWeights: null };

/** @param pass when it began, by performance.now(), and what it went over */
async function measure(
  logits: Values,
  { split, notes, metrics: own, mistakes: most }: AlignedSplit & Pick<EvaluationOptions, 'metrics' | 'mistakes'>,
  decision: Decision,
  options: LossOptions,
  pass: { began: number; batches: number; truncated: number },
): Promise<EvaluateResult> {
  const task = taskOf(split.task);
  const { loss, predictions, scores: all } = await passOver(logits, split.labels, task, decision, options);
  const { scores, metrics, notes: undefinedOnes } = task.measure(split.labels, predictions, split.labelNames, all);
  const { labels, labelNames } = split;
  const outcome = { labels, predictions, scores: all, labelNames };
  const custom = own && customScores(own, outcome);
  const mistakes = most && mostMistaken(outcome, task.labels, most);
  const examples = split.texts.length;
  const runtime = (performance.now() - pass.began) / 1000;
  return {
    ...{ task: split.task, loss, ...scores, metrics },
    runtime,
    samplesPerSecond: examples / runtime,
    stepsPerSecond: pass.batches / runtime,
    examples,
    truncated: pass.truncated,
    notes: [...notes, ...undefinedOnes],
    ...(custom && { custom }),
    ...(mistakes && { mistakes }),
  } as unknown as EvaluateResult;
}

/**
 * The mean loss over all examples, of the logits as they are, and scores and predictions of each, in slices of time.
 *
 * @throws BertuneError NON_FINITE_LOGITS
 */
async function passOver(
  logits: Values,
  labels: Numbers,
  task: Task,
  { thresholds, temperature }: Decision,
  options: LossOptions,
): Promise<{ loss: number; predictions: Numbers; scores: Float64Array }> {
  const classes = thresholds.length;
  const examples = logits.length / classes;
  const width = labels.length / examples;
  const slice = new TimeSlice();
  const predictions = task.labels === 'values' ? new Float64Array(labels.length) : new Int32Array(labels.length);
  const scores = new Float64Array(logits.length);
  let [total, weights] = [0, 0];
  for (let start = 0; start < examples; start += BLOCK) {
    const end = Math.min(examples, start + BLOCK);
    const rows = logits.subarray(start * classes, end * classes);
    expectFiniteLogits(rows, classes, start);
    const part = task.sumLoss(rows, labels.subarray(start * width, end * width), classes, options);
    total += part.total;
    weights += part.weight;
    const scaled = calibrated(rows, temperature);
    predictions.set(task.decide(scaled, classes, thresholds), start * width);
    scores.set(scoresOf(task, scaled, classes), start * classes);
    if (slice.isOver) await slice.next();
  }
  return { loss: total / weights, predictions, scores };
}

/** Logits (n, NC) through the activation of a task. */
function scoresOf({ activation }: Task, logits: Values, classes: number): ArrayLike<number> {
  if (activation === 'identity') return logits;
  return activation === 'softmax' ? softmax(logits, classes) : sigmoid(logits);
}

import type { TextClassifier } from '../classifier.js';
import { type AlignedSplit, alignSplit } from '../data/labels.js';
import { expectSplit } from '../data/split.js';
import { BertuneError } from '../errors.js';
import { listLabels } from '../labels.js';
import { argmaxRows, classificationMetrics, crossEntropy } from '../metrics.js';
import { type BatchPlan, longestFirst, packBatches } from '../model/batches.js';
import { forwardBatches } from '../model/forward.js';
import { flattened, type LogitsOptions, withLogits } from '../model/logits.js';
import type { Values } from '../model/session.js';
import type { NativeSession } from '../native.js';
import { expectFiniteLogits } from '../prediction.js';
import { TimeSlice } from '../time-slice.js';
import type { EncodedTexts } from '../tokenizer.js';
import type { EvaluateResult, EvaluateRow } from './events.js';

/** How the loss is measured. */
export interface LossOptions {
  labelSmoothing: number;
  /** NC weights; null: none. */
  classWeights: readonly number[] | null;
}

/** A split as token ids, in a session. */
export interface LoadedSplit extends AlignedSplit {
  encoded: EncodedTexts;
  /** Of the dataset in the session. */
  handle: number;
  batches: BatchPlan;
}

/** Rows at a time between two looks at the clock. */
const BLOCK = 512;

/** How a model is measured. */
export interface EvaluationOptions extends Omit<LogitsOptions, 'adapters'> {
  /** Name of the adapter to measure; null: the model itself. */
  adapter: string | null;
  /** Defaults to neither smoothing nor weights. */
  loss?: LossOptions;
}

/** Measures a model, or an adapter beside it, on a split. Errors as TextClassifier.evaluate. */
export async function evaluateModel(
  model: TextClassifier,
  split: unknown,
  { adapter, loss = PLAIN_LOSS, ...options }: EvaluationOptions,
): Promise<EvaluateResult> {
  const { labels } = model.adapters.find(({ name }) => name === adapter) ?? model;
  expectClasses(labels);
  const own = alignSplit('split', expectSplit('split', split), labels);
  const { batchTokens, signal } = options;
  const adapters = new Array<string | null>(own.split.texts.length).fill(adapter);
  return withLogits(model, own.split, { ...options, adapters }, async (rows) => {
    const { offsets, truncated } = rows.encoded;
    const batches = packBatches(offsets, longestFirst(offsets), batchTokens).starts.length - 1;
    const began = performance.now() - 1000 * rows.runtime;
    const { logits } = await flattened(rows, signal);
    return measure(logits, own, labels, loss, { began, batches, truncated });
  });
}

/**
 * Runs a split through a session and measures the outcome.
 *
 * @param signal looked at several times a second
 * @throws BertuneError NON_FINITE_LOGITS naming the text; ABORTED, OUT_OF_MEMORY
 */
export async function evaluateSplit(
  native: NativeSession,
  { encoded, handle, batches, ...split }: LoadedSplit,
  labelNames: readonly string[],
  options: LossOptions,
  signal: AbortSignal | undefined,
): Promise<EvaluateResult> {
  const began = performance.now();
  const logits = await forwardBatches(native, handle, batches, signal);
  const { truncated } = encoded;
  return measure(logits, split, labelNames, options, { began, batches: batches.starts.length - 1, truncated });
}

/** A score is no class: there is nothing to tell it from. @throws BertuneError INVALID_OPTION */
export function expectClasses(labels: readonly string[]): void {
  if (labels.length > 1) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `A model of one class (${listLabels(labels)}) gives a score and cannot be trained or evaluated as a classifier; ` +
      'use two labels or more',
  );
}

const PLAIN_LOSS: LossOptions = { labelSmoothing: 0, classWeights: null };

/** @param pass when it began, by performance.now(), and what it went over */
async function measure(
  logits: Values,
  { split, notes }: AlignedSplit,
  labelNames: readonly string[],
  options: LossOptions,
  pass: { began: number; batches: number; truncated: number },
): Promise<EvaluateResult> {
  const loss = await meanLoss(logits, split.labels as Int32Array, labelNames.length, options);
  const predictions = await mostLikely(logits, labelNames.length);
  const metrics = classificationMetrics(split.labels as Int32Array, predictions, labelNames);
  const runtime = (performance.now() - pass.began) / 1000;
  return {
    loss,
    accuracy: metrics.accuracy,
    precision: metrics.macro.precision,
    recall: metrics.macro.recall,
    f1_macro: metrics.macro.f1,
    f1_micro: metrics.micro.f1,
    f1_weighted: metrics.weighted.f1,
    metrics,
    runtime,
    samplesPerSecond: split.labels.length / runtime,
    stepsPerSecond: pass.batches / runtime,
    examples: split.labels.length,
    truncated: pass.truncated,
    notes,
  };
}

/** The row of the log for an evaluation; times rounded as transformers' `speed_metrics` does. */
export function evaluateRow(result: EvaluateResult, epoch: number, step: number): EvaluateRow {
  return {
    eval_loss: result.loss,
    eval_accuracy: result.accuracy,
    eval_precision: result.precision,
    eval_recall: result.recall,
    eval_f1_macro: result.f1_macro,
    eval_f1_micro: result.f1_micro,
    eval_f1_weighted: result.f1_weighted,
    eval_runtime: roundTo(result.runtime, 4),
    eval_samples_per_second: roundTo(result.samplesPerSecond, 3),
    eval_steps_per_second: roundTo(result.stepsPerSecond, 3),
    epoch,
    step,
  };
}

/** A number to so many decimals. */
export function roundTo(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

/** Cross-entropy over all examples, in slices of time. @throws BertuneError NON_FINITE_LOGITS */
async function meanLoss(
  logits: Values,
  labels: Int32Array,
  classes: number,
  { labelSmoothing, classWeights }: LossOptions,
): Promise<number> {
  const slice = new TimeSlice();
  let total = 0;
  let weights = 0;
  for (let start = 0; start < labels.length; start += BLOCK) {
    const part = labels.subarray(start, start + BLOCK);
    const rows = logits.subarray(start * classes, (start + part.length) * classes);
    expectFiniteLogits(rows, classes, start);
    const weight = part.reduce((sum, label) => sum + (classWeights?.[label] ?? 1), 0);
    // A part whose labels all weigh nothing has no mean, and no say.
    if (weight > 0) {
      total += weight * crossEntropy(rows, part, classes, { labelSmoothing, ...(classWeights && { classWeights }) });
    }
    weights += weight;
    if (slice.isOver) await slice.next();
  }
  return total / weights;
}

async function mostLikely(logits: Values, classes: number): Promise<Int32Array> {
  const slice = new TimeSlice();
  const predictions = new Int32Array(logits.length / classes);
  for (let start = 0; start < predictions.length; start += BLOCK) {
    const rows = logits.subarray(start * classes, Math.min(predictions.length, start + BLOCK) * classes);
    predictions.set(argmaxRows(rows, classes), start);
    if (slice.isOver) await slice.next();
  }
  return predictions;
}

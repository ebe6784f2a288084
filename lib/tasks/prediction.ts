import { BertuneError } from '../errors.js';
import { DEFAULT_THRESHOLD } from '../metrics/multi-label.js';
import type { Values } from '../native/index.js';
import { option } from '../options/names.js';
import { expectBoolean, expectNumberInRange, expectPositiveInteger } from '../options/validation.js';
import { TimeSlice } from '../time-slice.js';
import { type TaskKind, taskOf } from './index.js';
import type { Numbers, Predictions } from './task.js';
import { ranked, uncertaintyOf } from './uncertainty.js';

/** A prediction for a text: its class, its labels or its value. */
export type Prediction<Kind extends TaskKind = TaskKind, Label extends string = string> = Predictions<Label>[Kind];

/** What the logits of a text stand for: a model's own, or those of an adapter beside it. */
export interface Output {
  readonly task: TaskKind;
  /** Names of the labels (NC), in the order of the logits. */
  readonly labels: readonly string[];
  /** Scores above which a label is predicted, by its name, as they were tuned; null: none was. */
  readonly thresholds: Readonly<Record<string, number>> | null;
  /** What logits are divided by before they become scores, as it was calibrated; null: nothing. */
  readonly temperature: number | null;
}

/** What predictions are to have. */
export interface PredictionSettings {
  /** Of every label; null: each model's own. */
  threshold: number | null;
  /** Labels to rank; null: none. */
  topK: number | null;
  /** Whether margin and entropy are wanted. */
  uncertainty: boolean;
}

/** Logits, a row per text, each of the labels of its adapter. */
export interface LogitRows {
  /** N */
  count: number;
  row: (text: number) => Values;
  outputOf: (text: number) => Output;
  /** What the first text is called in messages. Defaults to 0. */
  first?: number;
}

/** @throws BertuneError INVALID_OPTION */
export function predictionSettings(given: {
  threshold?: unknown;
  topK?: unknown;
  uncertainty?: unknown;
}): PredictionSettings {
  const { threshold, topK, uncertainty = false } = given;
  return {
    threshold: threshold === undefined ? null : expectNumberInRange('threshold', threshold, { min: 0, max: 1 }),
    topK: topK === undefined ? null : expectPositiveInteger('topK', topK),
    uncertainty: expectBoolean('uncertainty', uncertainty),
  };
}

/** How logits become decisions. */
export interface Decision {
  /** Scores above which labels are predicted (NC). */
  readonly thresholds: readonly number[];
  /** What logits are divided by first; null: nothing. */
  readonly temperature: number | null;
}

/** How a model decides; with one threshold for all labels where it is given. */
export function decisionOf({ labels, thresholds, temperature }: Output, given: number | null = null): Decision {
  return { thresholds: labels.map((label) => given ?? thresholds?.[label] ?? DEFAULT_THRESHOLD), temperature };
}

/**
 * Checks that logits are numbers that a prediction can be made of.
 *
 * @param logits (rows, classes), row-major
 * @param first which text the first row is of. Defaults to 0.
 * @throws BertuneError NON_FINITE_LOGITS naming the text
 */
export function expectFiniteLogits(logits: Values, classes: number, first = 0): void {
  const odd = logits.findIndex((value) => !Number.isFinite(value));
  if (odd < 0) return;
  throw new BertuneError(
    'NON_FINITE_LOGITS',
    `The model's scores for texts[${first + Math.floor(odd / classes)}] are not finite (${logits[odd]}): its weights, or ` +
      "those of the text's adapter, are damaged or too large. Load another checkpoint, or train again with a lower " +
      'learning rate',
  );
}

/**
 * Checks that what is asked for means something to a model.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function expectScores({ task }: Pick<Output, 'task'>, { topK, uncertainty }: PredictionSettings): void {
  if (taskOf(task).labels !== 'values' || (topK === null && !uncertainty)) return;
  const odd = [...(topK === null ? [] : ['topK']), ...(uncertainty ? ['uncertainty'] : [])];
  throw new BertuneError(
    'INVALID_OPTION',
    `${odd.map((name) => option(name)).join(' and ')} ${odd.length === 1 ? 'has' : 'have'} no effect on a model for ` +
      `${taskOf(task).title}; leave it out`,
  );
}

/** Logits (NC) as they become scores: divided by the temperature, where there is one. */
export function calibrated<Row extends Numbers>(logits: Row, temperature: number | null): Row {
  return temperature === null ? logits : (logits.map((logit) => logit / temperature) as Row);
}

/**
 * What logits say of each text. The event loop runs between slices of time.
 *
 * @throws BertuneError NON_FINITE_LOGITS, ABORTED; INVALID_OPTION as expectScores
 */
export async function predictionsOf(
  { count, row, outputOf, first = 0 }: LogitRows,
  settings: PredictionSettings,
  signal: AbortSignal | undefined,
): Promise<Prediction[]> {
  const { threshold, topK, uncertainty } = settings;
  const predictions: Prediction[] = [];
  const slice = new TimeSlice(signal);
  const decisions = new Map<Output, Decision>();
  for (let i = 0; i < count; i++) {
    const output = outputOf(i);
    const logits = row(i);
    expectFiniteLogits(logits, output.labels.length, first + i);
    if (!decisions.has(output)) {
      expectScores(output, settings);
      decisions.set(output, decisionOf(output, threshold));
    }
    const own = decisions.get(output)!;
    const scaled = calibrated(logits, own.temperature);
    const prediction = taskOf(output.task).predict(scaled, output.labels, own.thresholds);
    if (prediction.scores !== undefined) {
      if (topK !== null) prediction.top = ranked(prediction, topK);
      if (uncertainty) Object.assign(prediction, uncertaintyOf(prediction, output.labels, own.thresholds));
    }
    predictions.push(prediction);
    if (slice.isOver) await slice.next();
  }
  return predictions;
}

import { BertuneError } from '../errors.js';
import { DEFAULT_THRESHOLD } from '../metrics/multi-label.js';
import type { Values } from '../native/index.js';
import { expectNumberInRange } from '../options/validation.js';
import { TimeSlice } from '../time-slice.js';
import { type TaskKind, taskOf } from './index.js';
import type { Predictions } from './task.js';

/** What a model makes of a text: its class, its labels or its value. */
export type Prediction<Kind extends TaskKind = TaskKind> = Predictions[Kind];

/** What the logits of a text stand for: a model's own, or those of an adapter beside it. */
export interface Output {
  readonly task: TaskKind;
  /** Names of the labels (NC), in the order of the logits. */
  readonly labels: readonly string[];
  /** Scores above which a label is predicted, by its name, as they were tuned; null: none was. */
  readonly thresholds: Readonly<Record<string, number>> | null;
}

/** Logits, a row a text, each of the labels of its adapter. */
export interface LogitRows {
  /** N */
  count: number;
  row: (text: number) => Values;
  outputOf: (text: number) => Output;
}

/** @returns null where none is given @throws BertuneError INVALID_OPTION */
export function expectThreshold(value: unknown): number | null {
  return value === undefined ? null : expectNumberInRange('threshold', value, { min: 0, max: 1 });
}

/** The threshold of each label (NC); one for all where it is given. */
export function thresholdsOf({ labels, thresholds }: Output, given: number | null = null): number[] {
  return labels.map((label) => given ?? thresholds?.[label] ?? DEFAULT_THRESHOLD);
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
 * What logits say of each text. The event loop runs between slices of time.
 *
 * @param threshold of every label; null: each model's own
 * @throws BertuneError NON_FINITE_LOGITS, ABORTED
 */
export async function predictionsOf(
  { count, row, outputOf }: LogitRows,
  threshold: number | null,
  signal: AbortSignal | undefined,
): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  const slice = new TimeSlice(signal);
  const thresholds = new Map<Output, number[]>();
  for (let i = 0; i < count; i++) {
    const output = outputOf(i);
    const logits = row(i);
    expectFiniteLogits(logits, output.labels.length, i);
    if (!thresholds.has(output)) thresholds.set(output, thresholdsOf(output, threshold));
    predictions.push(taskOf(output.task).predict(logits, output.labels, thresholds.get(output)!));
    if (slice.isOver) await slice.next();
  }
  return predictions;
}

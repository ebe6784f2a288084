import { BertuneError } from './errors.js';
import { softmax } from './metrics.js';
import type { Values } from './model/session.js';
import { TimeSlice } from './time-slice.js';

/** What a model makes of a text. */
export interface Prediction {
  /** The likeliest class. */
  label: string;
  /** Its probability. */
  score: number;
  /** The probability of every class; they sum to 1, unless there is one class, whose score is a sigmoid of its logit. */
  scores: Record<string, number>;
}

/** Logits, a row a text, each of the classes of its adapter. */
export interface LogitRows {
  /** N */
  count: number;
  row: (text: number) => Values;
  /** Names of a row's classes, in its order. */
  labelsOf: (text: number) => readonly string[];
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
 * @throws BertuneError NON_FINITE_LOGITS, ABORTED
 */
export async function predictionsOf(
  { count, row, labelsOf }: LogitRows,
  signal: AbortSignal | undefined,
): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  const slice = new TimeSlice(signal);
  for (let i = 0; i < count; i++) {
    const labels = labelsOf(i);
    const logits = row(i);
    expectFiniteLogits(logits, labels.length, i);
    predictions.push(predictionOf(labels.length === 1 ? sigmoid(logits) : softmax(logits, labels.length), labels));
    if (slice.isOver) await slice.next();
  }
  return predictions;
}

/** The score of a model of one class, as transformers' pipeline gives it. */
function sigmoid(logits: Values): Float64Array {
  return Float64Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
}

function predictionOf(scores: Float64Array, labels: readonly string[]): Prediction {
  let best = 0;
  for (let c = 1; c < scores.length; c++) if (scores[c]! > scores[best]!) best = c;
  return {
    label: labels[best]!,
    score: scores[best]!,
    scores: Object.fromEntries(labels.map((label, c) => [label, scores[c]!])),
  };
}

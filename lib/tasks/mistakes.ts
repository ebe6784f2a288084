import type { Numbers, Task } from './task.js';

/** One label, or one value, of an example. */
export interface MistakenLabel {
  label: string;
  /** The truth: 1 if the example has the label and 0 if not, or the true value. */
  target: number;
  /** The label's score, or the predicted value. */
  predicted: number;
}

/** An example that a model is wrong about. */
export interface Mistake {
  /** Its row in the split, from 0. */
  row: number;
  /** How wrong it is: Σ |target − predicted| over all labels. */
  error: number;
  /** What is wrong, worst first, at most ten; for single-label, the true class and the predicted one. */
  labels: MistakenLabel[];
}

/** An example with a thousand values names the worst of them. */
const MOST_LABELS = 10;

/** What a model made of a split. */
interface Outcome {
  /** In the form of a Split's labels. */
  readonly labels: Numbers;
  readonly predictions: Numbers;
  /** (N, NC), row-major. */
  readonly scores: Float64Array;
  /** NC */
  readonly labelNames: readonly string[];
}

/**
 * The examples that a model is most wrong about, the worst first. No more than `most` are held at a time, however many there are.
 *
 * @returns fewer where fewer are wrong
 */
export function mostMistaken(outcome: Outcome, kind: Task['labels'], most: number): Mistake[] {
  const { scores, labelNames } = outcome;
  const worst: Mistake[] = [];
  for (let row = 0; row < scores.length / labelNames.length; row++) {
    const wrong = mistakenLabels(outcome, kind, row);
    const error = wrong.reduce((sum, { target, predicted }) => sum + Math.abs(target - predicted), 0);
    if (wrong.length === 0 || (worst.length === most && error <= worst.at(-1)!.error)) continue;
    const place = worst.findIndex((other) => other.error < error);
    worst.splice(place < 0 ? worst.length : place, 0, { row, error, labels: wrong });
    worst.length = Math.min(worst.length, most);
  }
  const offBy = ({ target, predicted }: MistakenLabel) => Math.abs(target - predicted);
  return worst.map(({ labels, ...rest }) => ({
    ...rest,
    labels: labels.sort((a, b) => offBy(b) - offBy(a)).slice(0, MOST_LABELS),
  }));
}

function mistakenLabels(outcome: Outcome, kind: Task['labels'], row: number): MistakenLabel[] {
  const { labels, predictions, scores, labelNames } = outcome;
  const classes = labelNames.length;
  const valueAt = (values: Numbers, c: number) =>
    kind === 'class' ? Number(values[row] === c) : values[row * classes + c]!;
  // Nearly every row of one class is right, and told without a look at each label.
  if (kind === 'class' && labels[row] === predictions[row]) return [];
  return labelNames.flatMap((label, c) => {
    const target = valueAt(labels, c);
    return target === valueAt(predictions, c) ? [] : [{ label, target, predicted: scores[row * classes + c]! }];
  });
}

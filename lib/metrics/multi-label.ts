import { expectNames } from '../options/validation.js';
import { type Averages, averages, type ClassReport, expectRows, sum } from './single-label.js';

/** Metrics of multi-label predictions. */
export interface MultiLabelMetrics {
  /** Subset accuracy: the share of examples with every label right. */
  accuracy: number;
  /** From the counts of all labels together. */
  micro: Averages;
  /** Plain means over all labels. */
  macro: Averages;
  /** Means over all labels, weighted by support. */
  weighted: Averages;
  /** Means over the examples, each measured by its own labels. */
  samples: Averages;
  /** One entry per label, in the order of `labelNames`. */
  perClass: ClassReport[];
  examples: number;
}

/**
 * Precision, recall and F1 as scikit-learn's `precision_recall_fscore_support(..., zero_division=0)` gives them for
 * multi-label data, and its `accuracy_score`.
 *
 * @param targets (N, NC), row-major: not 0 where an example has a label
 * @param predictions the same, for the predictions
 * @param labelNames the names of the NC labels
 * @throws BertuneError INVALID_OPTION, INVALID_DATA, SHAPE_MISMATCH
 */
export function multiLabelMetrics(
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  labelNames: readonly string[],
): MultiLabelMetrics {
  const names = expectNames('labelNames', labelNames);
  const classes = names.length;
  const [actual, guesses] = expectRows(targets, predictions, classes);
  const examples = actual.length / classes;
  const [hits, supports, predicted] = [0, 1, 2].map(() => new Array<number>(classes).fill(0)) as number[][];
  const samples = { precision: 0, recall: 0, f1: 0 };
  let right = 0;
  for (let example = 0; example < examples; example++) {
    let [both, own, guessed] = [0, 0, 0];
    for (let c = 0; c < classes; c++) {
      const isTrue = Number(actual[example * classes + c] !== 0);
      const isPredicted = Number(guesses[example * classes + c] !== 0);
      hits![c]! += isTrue & isPredicted;
      supports![c]! += isTrue;
      predicted![c]! += isPredicted;
      both += isTrue & isPredicted;
      own += isTrue;
      guessed += isPredicted;
    }
    const { precision, recall, f1 } = averages(both, own, guessed);
    samples.precision += precision / examples;
    samples.recall += recall / examples;
    samples.f1 += f1 / examples;
    if (both === own && both === guessed) right += 1;
  }
  const perClass = names.map((label, c) => ({
    label,
    support: supports![c]!,
    ...averages(hits![c]!, supports![c]!, predicted![c]!),
  }));
  return {
    accuracy: right / examples,
    micro: averages(sum(hits!), sum(supports!), sum(predicted!)),
    macro: mean(perClass, () => 1),
    weighted: mean(perClass, ({ support }) => support),
    samples,
    perClass,
    examples,
  };
}

function mean(reports: readonly ClassReport[], weightOf: (report: ClassReport) => number): Averages {
  const total = sum(reports.map(weightOf));
  const over = (key: keyof Averages) =>
    total === 0 ? 0 : sum(reports.map((report) => weightOf(report) * report[key])) / total;
  return { precision: over('precision'), recall: over('recall'), f1: over('f1') };
}

/** A label is predicted where its score is above so much, unless thresholds were tuned. */
export const DEFAULT_THRESHOLD = 0.5;

/**
 * The threshold of each label that gives it the highest F1: the middle between two neighboring scores, of several that do
 * as well the nearest to 0.5. A label that no example has, or that every choice gives an F1 of 0, keeps 0.5.
 *
 * @param scores (N, NC), row-major, in [0, 1]
 * @param targets (N, NC): not 0 where an example has a label
 * @returns (NC), in [0, 1]; a label is predicted where its score is above
 */
export function bestThresholds(scores: ArrayLike<number>, targets: ArrayLike<number>, classes: number): number[] {
  const examples = targets.length / classes;
  return Array.from({ length: classes }, (_, c) => {
    const rows = Array.from({ length: examples }, (_, i) => ({
      score: scores[i * classes + c]!,
      isTrue: targets[i * classes + c] !== 0,
    })).sort((a, b) => b.score - a.score);
    const support = rows.filter(({ isTrue }) => isTrue).length;
    let best = { f1: 0, threshold: DEFAULT_THRESHOLD };
    let hits = 0;
    for (const [i, { score, isTrue }] of rows.entries()) {
      if (isTrue) hits += 1;
      const next = rows[i + 1]?.score ?? 0;
      // Between equal scores there is no threshold.
      if (next === score) continue;
      const { f1 } = averages(hits, support, i + 1);
      const threshold = nearestToHalf(next, score);
      const isNearer = Math.abs(threshold - DEFAULT_THRESHOLD) < Math.abs(best.threshold - DEFAULT_THRESHOLD);
      if (f1 > best.f1 || (f1 === best.f1 && f1 > 0 && isNearer)) best = { f1, threshold };
    }
    return best.threshold;
  });
}

/** 0.5 where it parts the two scores as well, otherwise their middle. */
function nearestToHalf(below: number, above: number): number {
  if (below <= DEFAULT_THRESHOLD && above > DEFAULT_THRESHOLD) return DEFAULT_THRESHOLD;
  return (below + above) / 2;
}

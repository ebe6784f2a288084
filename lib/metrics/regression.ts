import { expectNames } from '../options/validation.js';
import { expectRows, sum } from './single-label.js';

/** How close predicted values are to the true ones. */
export interface RegressionScores {
  /** Mean squared error. */
  mse: number;
  /** Mean absolute error. */
  mae: number;
  /** The share of variance explained; null if the true values do not vary. */
  r2: number | null;
  /** Pearson's correlation; null if true or predicted values do not vary. */
  pearson: number | null;
  /** Spearman's correlation, ties with average ranks; null if true or predicted values do not vary. */
  spearman: number | null;
}

/** Scores of one column. */
export interface ColumnReport extends RegressionScores {
  label: string;
}

/** Metrics of regression: means over the columns, without undefined ones. */
export interface RegressionMetrics extends RegressionScores {
  /** One entry per column, in the order of `labelNames`. */
  perColumn: ColumnReport[];
  /** True and predicted values of some examples, for charts: at most 1,000, evenly spread over the split. */
  pairs: { label: string; target: number; predicted: number }[];
  examples: number;
  /** Which metrics are undefined, and why, in sentences. */
  notes: string[];
}

/** Pairs of values that are kept for a chart. */
const MOST_PAIRS = 1000;

/**
 * Errors and correlations as scikit-learn's `mean_squared_error`, `mean_absolute_error` and `r2_score` and scipy's
 * `pearsonr` and `spearmanr` give them, column by column.
 *
 * @param targets true values (N, NC), row-major
 * @param predictions predicted values (N, NC)
 * @param labelNames the names of the NC columns
 * @throws BertuneError INVALID_OPTION, INVALID_DATA, SHAPE_MISMATCH
 */
export function regressionMetrics(
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  labelNames: readonly string[],
): RegressionMetrics {
  const names = expectNames('labelNames', labelNames);
  const columns = names.length;
  const [actual, guesses] = expectRows(targets, predictions, columns);
  const examples = actual.length / columns;
  const columnOf = (values: ArrayLike<number>, c: number) =>
    Float64Array.from({ length: examples }, (_, i) => values[i * columns + c]!);
  const perColumn = names.map((label, c) => ({
    label,
    ...scores(columnOf(actual, c), columnOf(guesses, c)),
  }));
  const mean = (key: keyof RegressionScores) => {
    const values = perColumn.map((row) => row[key]).filter((value) => value !== null);
    return values.length === 0 ? null : sum(values) / values.length;
  };
  const step = Math.max(1, Math.ceil((examples * columns) / MOST_PAIRS));
  const pairs = Array.from({ length: Math.ceil((examples * columns) / step) }, (_, i) => ({
    label: names[(i * step) % columns]!,
    target: actual[i * step]!,
    predicted: guesses[i * step]!,
  }));
  return {
    mse: mean('mse')!,
    mae: mean('mae')!,
    r2: mean('r2'),
    pearson: mean('pearson'),
    spearman: mean('spearman'),
    perColumn,
    pairs,
    examples,
    notes: perColumn.flatMap(undefinedScores),
  };
}

/** A value that only one example has, or that is the same in all, has no variance to explain or to follow. */
function undefinedScores({ label, r2, pearson }: ColumnReport): string[] {
  if (r2 === null) {
    return [`The values of ${JSON.stringify(label)} do not vary: they have no r² and no correlation with predictions.`];
  }
  return pearson === null ? [`The predictions of ${JSON.stringify(label)} do not vary: they have no correlation.`] : [];
}

function scores(targets: Float64Array, predictions: Float64Array): RegressionScores {
  const errors = targets.map((target, i) => predictions[i]! - target);
  const squares = sum(errors.map((error) => error * error));
  const variation = sum(centered(targets).map((value) => value * value));
  return {
    mse: squares / targets.length,
    mae: sum(errors.map(Math.abs)) / targets.length,
    r2: variation === 0 ? null : 1 - squares / variation,
    pearson: correlation(targets, predictions),
    spearman: correlation(ranks(targets), ranks(predictions)),
  };
}

function correlation(a: Float64Array, b: Float64Array): number | null {
  const [x, y] = [centered(a), centered(b)];
  const [xx, yy] = [x, y].map((values) => sum(values.map((value) => value * value))) as [number, number];
  if (xx === 0 || yy === 0) return null;
  const r = sum(x.map((value, i) => value * y[i]!)) / Math.sqrt(xx) / Math.sqrt(yy);
  return Math.max(-1, Math.min(1, r));
}

function centered(values: Float64Array): Float64Array {
  // The mean of equal values may be off by a rounding.
  if (values.every((value) => value === values[0])) return new Float64Array(values.length);
  const mean = sum(values) / values.length;
  return values.map((value) => value - mean);
}

/** The place of each value among all, from 1; the mean of their places for equal ones. */
function ranks(values: Float64Array): Float64Array {
  const order = Array.from(values.keys()).sort((a, b) => values[a]! - values[b]!);
  const places = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) places[order[i]!] = (start + 1 + end) / 2;
    start = end;
  }
  return places;
}

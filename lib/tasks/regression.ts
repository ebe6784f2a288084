import { formatShort } from '../format.js';
import { type RegressionMetrics, regressionMetrics } from '../metrics/regression.js';
import { meanSquaredError } from '../metrics/single-label.js';
import { shown, type Task } from './task.js';

const METRICS = [
  shown('mse', 'MSE'),
  shown('mae', 'MAE'),
  shown('r2', 'R²'),
  shown('pearson', 'Pearson'),
  shown('spearman', 'Spearman'),
];

/** A number, or several. */
export const regression = {
  kind: 'regression',
  title: 'regression',
  problemType: 'regression',
  labels: 'values',
  loss: 'mean_squared_error',
  activation: 'identity',
  metrics: METRICS,
  headline: ['mse', 'pearson'],
  // As transformers' run_classification.py has it.
  bestMetric: 'mse',
  tellingMetric: 'r2',
  lossOptions: [],
  sumLoss(logits, labels) {
    return { total: labels.length * meanSquaredError(logits, labels), weight: labels.length };
  },
  decide: (logits) => logits,
  measure(labels, predictions, names) {
    const metrics = regressionMetrics(labels, predictions, names);
    const { mse, mae, r2, pearson, spearman, notes } = metrics;
    return { scores: { mse, mae, r2, pearson, spearman }, metrics, notes };
  },
  detailsOf: ({ perColumn, pairs }: RegressionMetrics) => ({ columns: perColumn, pairs }),
  noBetterThan: ({ r2 }: RegressionMetrics) =>
    r2 === null || r2 > 0 ? null : `An R² of ${formatShort(r2)} is no better than always answering the mean`,
  predict(logits, labels) {
    if (labels.length === 1) return { value: logits[0]! };
    return { values: Object.fromEntries(labels.map((label, c) => [label, logits[c]!])) };
  },
} as const satisfies Task;

/** A number that an evaluation gives, by its name in results.json; `eval_` stands before it in a log. */
export type MetricName =
  | 'accuracy'
  | 'precision'
  | 'recall'
  | 'f1_macro'
  | 'f1_micro'
  | 'f1_weighted'
  | 'f1_samples'
  | 'mse'
  | 'mae'
  | 'r2'
  | 'pearson'
  | 'spearman';

/** What reports say of a metric. */
export interface Metric {
  readonly name: MetricName;
  /** In tables. */
  readonly title: string;
  /** Whether tables with room for a few metrics have it. */
  readonly isShown: boolean;
}

/** Of which less is better. */
const LOWER_IS_BETTER: readonly string[] = ['loss', 'mse', 'mae'];

/** Whether a higher value of a metric, or of the loss, is the better one. */
export function higherIsBetter(name: MetricName | 'loss'): boolean {
  return !LOWER_IS_BETTER.includes(name);
}

const shown = (name: MetricName, title: string): Metric => ({ name, title, isShown: true });
const hidden = (name: MetricName, title: string): Metric => ({ name, title, isShown: false });

/** Precision, recall and F1 macro are means over the labels. */
export const SINGLE_LABEL_METRICS = [
  shown('accuracy', 'accuracy'),
  shown('precision', 'precision'),
  shown('recall', 'recall'),
  shown('f1_macro', 'F1 macro'),
  hidden('f1_micro', 'F1 micro'),
  hidden('f1_weighted', 'F1 weighted'),
];

/** The accuracy is that of whole sets of labels; precision and recall are means over the labels. */
export const MULTI_LABEL_METRICS = [
  shown('f1_micro', 'F1 micro'),
  shown('f1_macro', 'F1 macro'),
  shown('f1_samples', 'F1 samples'),
  shown('precision', 'precision'),
  shown('recall', 'recall'),
  shown('accuracy', 'subset accuracy'),
  hidden('f1_weighted', 'F1 weighted'),
];

export const REGRESSION_METRICS = [
  shown('mse', 'MSE'),
  shown('mae', 'MAE'),
  shown('r2', 'R²'),
  shown('pearson', 'Pearson'),
  shown('spearman', 'Spearman'),
];

/** What the best epoch can be told by, of any task. */
export const BEST_METRICS = Object.freeze([
  'loss',
  'accuracy',
  'precision',
  'recall',
  'f1_macro',
  'f1_micro',
  'f1_weighted',
  'f1_samples',
  'mse',
  'mae',
  'r2',
  'pearson',
  'spearman',
] as const satisfies readonly (MetricName | 'loss')[]);
/** A metric that the best epoch can be told by. */
export type BestMetric = (typeof BEST_METRICS)[number];

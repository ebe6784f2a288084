import type { MultiLabelMetrics } from '../metrics/multi-label.js';
import type { ColumnReport, RegressionMetrics } from '../metrics/regression.js';
import type { Averages, ClassificationMetrics, ClassReport } from '../metrics/single-label.js';

/** What the labels of an example are: one class, any number of classes, or numbers. */
export type LabelKind = 'class' | 'classes' | 'values';

/** What a task asks of data, training and prediction. Everything that differs between tasks is asked here. */
export interface Task {
  /** Its name in options, e.g. `multi-label`. */
  readonly kind: string;
  /** Its name in prose, e.g. `multi-label classification`. */
  readonly title: string;
  /** Its name in config.json. */
  readonly problemType: string;
  /** What an example's labels are; decides how they are read, divided and counted. */
  readonly labels: LabelKind;
  /** The loss, as transformers computes it for this problem_type. */
  readonly loss: 'cross_entropy' | 'binary_cross_entropy' | 'mean_squared_error';
  /** What turns logits (NC) into scores or values (NC). */
  readonly activation: 'softmax' | 'sigmoid' | 'identity';
  /** What is measured beside the loss, in the order of reports. */
  readonly metrics: readonly Metric[];
  /** The two that sum it up, the one to choose by first. */
  readonly headline: readonly [HeadlineMetric, HeadlineMetric];
  /** The metric of the best epoch, by default. */
  readonly bestMetric: BestMetric;
  /** What is higher of the better of two epochs, whatever their losses. */
  readonly tellingMetric: MetricName;
  /** Options of the loss that mean something. */
  readonly lossOptions: readonly (keyof LossOptions)[];

  /**
   * The loss of some examples, for a mean over parts: Σ of their losses, and Σ of what they count for.
   *
   * @param logits (n, NC), row-major
   * @param labels of a Split: (n), or (n, NC)
   * @param classes NC
   */
  sumLoss(logits: Numbers, labels: Numbers, classes: number, options: LossOptions): { total: number; weight: number };

  /**
   * What is predicted of some examples, in the form of a Split's labels.
   *
   * @param logits (n, NC), row-major
   * @param thresholds of each label (NC)
   */
  decide(logits: Numbers, classes: number, thresholds: readonly number[]): Numbers;

  /**
   * Measures predictions, in the form that `decide` gives them.
   *
   * @param scores (N, NC), row-major: logits through the activation
   */
  measure(labels: Numbers, predictions: Numbers, names: readonly string[], scores: Float64Array): Measurement;

  /** What results.json holds of metrics that `measure` gave, beside the scores. */
  detailsOf(metrics: Measurement['metrics']): MetricDetails;

  /** If the metrics of `measure` show that a model has learned nothing, what it does instead, in words; otherwise null. */
  noBetterThan(metrics: Measurement['metrics']): string | null;

  /**
   * What a model makes of a text.
   *
   * @param logits (NC)
   * @param labels names of the NC labels
   * @param thresholds of each label (NC)
   */
  predict(logits: Numbers, labels: readonly string[], thresholds: readonly number[]): Predictions[keyof Predictions];
}

/** An array of numbers that parts can be taken of. */
export type Numbers = Int32Array | Float32Array | Float64Array;

/** How the loss is measured. */
export interface LossOptions {
  labelSmoothing: number;
  /** γ of the focal loss; 0: cross-entropy. */
  focalGamma: number;
  /** NC weights of the labels; null: none. */
  classWeights: readonly number[] | null;
  /** NC weights of the examples that have a label; null: none. */
  positiveWeights: readonly number[] | null;
}

/** What came of an evaluation. */
export interface Measurement {
  /** Of every metric of the task; null where it is not defined. */
  scores: Partial<Record<MetricName, number | null>>;
  /** All that was measured. */
  metrics: ClassificationMetrics | MultiLabelMetrics | RegressionMetrics;
  /** What is not defined, and why, in sentences. */
  notes: readonly string[];
}

/** What results.json holds of an evaluation beside its scores. */
export interface MetricDetails {
  /** Of a classifier. */
  readonly labels?: readonly Readonly<ClassReport>[];
  /** Single-label: confusion[true][predicted], in the order of `labels`. */
  readonly confusion?: readonly (readonly number[])[];
  /** Multi-label: the averages by their names. */
  readonly averages?: Readonly<Record<'micro' | 'macro' | 'weighted' | 'samples', Averages>>;
  /** Regression: each column, and true and predicted values of some examples. */
  readonly columns?: readonly Readonly<ColumnReport>[];
  readonly pairs?: readonly Readonly<RegressionMetrics['pairs'][number]>[];
}

/** A label and its score. */
export interface RankedLabel<Label extends string = string> {
  label: Label;
  score: number;
}

/** Optional parts of a prediction. */
export interface PredictionExtras<Label extends string = string> {
  /** With `topK`: that many labels, most likely first. */
  top?: RankedLabel<Label>[];
  /**
   * With `uncertainty`: how close the decision was. For single-label, the gap between the two highest scores; for multi-label,
   * the smallest distance of a score from its threshold. The lower it is, the more the model learns from a label.
   */
  margin?: number;
  /** With `uncertainty`: in nats, of the classes' distribution, or the sum over the labels, each by itself. */
  entropy?: number;
}

/**
 * The likeliest class of a text, or the score of a model of one class.
 *
 * @typeParam Label the names of the classes, where TypeScript knows them
 */
export interface ClassPrediction<Label extends string = string> extends PredictionExtras<Label> {
  /** The likeliest class. */
  label: Label;
  /** Its probability. */
  score: number;
  /** The probability of every class; they sum to 1, unless there is one class, whose score is a sigmoid of its logit. */
  scores: Record<Label, number>;
  labels?: undefined;
  value?: undefined;
  values?: undefined;
}

/**
 * The labels of a text, of a multi-label model.
 *
 * @typeParam Label the names of the labels, where TypeScript knows them
 */
export interface LabelsPrediction<Label extends string = string> extends PredictionExtras<Label> {
  /** Those whose score is above their threshold, in the model's order; there may be none. */
  labels: Label[];
  /** The probability of every label, each by itself. */
  scores: Record<Label, number>;
  label?: undefined;
  score?: undefined;
  value?: undefined;
  values?: undefined;
}

/**
 * What a regression model makes of a text.
 *
 * @typeParam Label the names of the values, where TypeScript knows them
 */
export interface ValuePrediction<Label extends string = string> {
  /** Of a model of one value. */
  value?: number;
  /** Of a model of several, by their names. */
  values?: Record<Label, number>;
  label?: undefined;
  score?: undefined;
  scores?: undefined;
  labels?: undefined;
  top?: undefined;
  margin?: undefined;
  entropy?: undefined;
}

/** What a model makes of a text, by its task. */
export interface Predictions<Label extends string = string> {
  'single-label': ClassPrediction<Label>;
  'multi-label': LabelsPrediction<Label>;
  regression: ValuePrediction<Label>;
}

/** A number that an evaluation gives, by its name in results.json; `eval_` stands before it in a log. */
export type MetricName =
  | 'accuracy'
  | 'precision'
  | 'recall'
  | 'f1_macro'
  | 'f1_micro'
  | 'f1_weighted'
  | 'f1_samples'
  | 'auroc'
  | 'auroc_micro'
  | 'average_precision'
  | 'average_precision_micro'
  | 'ece'
  | 'mse'
  | 'mae'
  | 'r2'
  | 'pearson'
  | 'spearman';

/** A metric that a task may be summed up by: reports have words for it. */
export type HeadlineMetric = 'accuracy' | 'f1_macro' | 'f1_micro' | 'mse' | 'pearson';

/** What reports say of a metric. */
export interface Metric {
  readonly name: MetricName;
  /** In tables. */
  readonly title: string;
  /** Whether tables with room for a few metrics have it. */
  readonly isShown: boolean;
}

/** Of which less is better. */
const LOWER_IS_BETTER: readonly string[] = ['loss', 'mse', 'mae', 'ece'];

/** Whether a higher value of a metric, or of the loss, is the better one. */
export function higherIsBetter(name: MetricName | 'loss'): boolean {
  return !LOWER_IS_BETTER.includes(name);
}

/** A metric that tables with room for a few have. */
export const shown = (name: MetricName, title: string): Metric => ({ name, title, isShown: true });
/** One that they leave out. */
export const hidden = (name: MetricName, title: string): Metric => ({ name, title, isShown: false });

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
  'auroc',
  'auroc_micro',
  'average_precision',
  'average_precision_micro',
  'ece',
  'mse',
  'mae',
  'r2',
  'pearson',
  'spearman',
] as const satisfies readonly (MetricName | 'loss')[]);
/** A metric that the best epoch can be told by. */
export type BestMetric = (typeof BEST_METRICS)[number];

import type { MultiLabelMetrics } from '../metrics/multi-label.js';
import type { RegressionMetrics } from '../metrics/regression.js';
import type { ClassificationMetrics } from '../metrics/single-label.js';
import type { MetricName, TaskKind } from './index.js';
import type { Mistake } from './mistakes.js';

/** What every evaluation has. */
export interface EvaluatePass {
  /** Mean loss over the examples, with the trainer's label smoothing and weights: cross-entropy, binary cross-entropy or mean squared error. */
  loss: number;
  /** Seconds. */
  runtime: number;
  samplesPerSecond: number;
  /** Batches per second. */
  stepsPerSecond: number;
  examples: number;
  /** Texts that were too long and were truncated. */
  truncated: number;
  /**
   * How the split's labels were matched with the model's, if names differ in case or spaces or are numbers; which metrics are
   * undefined, and why.
   */
  notes: readonly string[];
  /** Results of `metrics`, by name; absent if there were none. */
  custom?: Readonly<Record<string, number>>;
  /** With `mistakes`: the examples that the model is most wrong about, worst first. */
  mistakes?: readonly Mistake[];
}

/** Each metric of a task; there are no others. */
type Scores<Name extends MetricName> = Record<Name, number> & Partial<Record<Exclude<MetricName, Name>, undefined>>;

/** Metrics that are not defined where a split lacks labels, or has nothing else. */
type Undefinable<Name extends MetricName> = Record<Name, number | null>;

/**
 * How well a single-label model does. Precision, recall, f1_macro, auroc and average_precision are macro averages as in
 * scikit-learn, the last two one-vs-rest over the labels that occur. `ece` is the calibration error of the most likely class.
 */
export interface SingleLabelEvaluation
  extends EvaluatePass,
    Omit<
      Scores<'accuracy' | 'precision' | 'recall' | 'f1_macro' | 'f1_micro' | 'f1_weighted' | 'ece'>,
      'auroc' | 'average_precision'
    >,
    Undefinable<'auroc' | 'average_precision'> {
  task: 'single-label';
  /** All averages, each class, and the confusion matrix. */
  metrics: ClassificationMetrics;
}

type RankingMetric = 'auroc' | 'auroc_micro' | 'average_precision' | 'average_precision_micro';

/**
 * How well a multi-label model does. `accuracy` is the share of examples with every label right; precision, recall, f1_macro,
 * and over the labels that occur auroc and average_precision, are macro averages as in scikit-learn. `ece` is the calibration
 * error of all labels' scores.
 */
export interface MultiLabelEvaluation
  extends EvaluatePass,
    Omit<
      Scores<'accuracy' | 'precision' | 'recall' | 'f1_macro' | 'f1_micro' | 'f1_weighted' | 'f1_samples' | 'ece'>,
      RankingMetric
    >,
    Undefinable<RankingMetric> {
  task: 'multi-label';
  /** All averages, and each label. */
  metrics: MultiLabelMetrics;
}

/** How well a regression model does; null if undefined, e.g. a correlation of values that are all the same. */
export interface RegressionEvaluation
  extends EvaluatePass,
    Omit<Scores<'mse' | 'mae' | 'r2' | 'pearson' | 'spearman'>, 'r2' | 'pearson' | 'spearman'>,
    Undefinable<'r2' | 'pearson' | 'spearman'> {
  task: 'regression';
  /** The same for each column, and some pairs of values. */
  metrics: RegressionMetrics;
}

/** How well a model does on a split, by task. */
export interface Evaluations {
  'single-label': SingleLabelEvaluation;
  'multi-label': MultiLabelEvaluation;
  regression: RegressionEvaluation;
}

/** How well a model does on a split. */
export type EvaluateResult<Kind extends TaskKind = TaskKind> = Evaluations[Kind];

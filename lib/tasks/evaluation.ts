import type { MultiLabelMetrics } from '../metrics/multi-label.js';
import type { RegressionMetrics } from '../metrics/regression.js';
import type { ClassificationMetrics } from '../metrics/single-label.js';
import type { MetricName, TaskKind } from './index.js';
import type { Mistake } from './mistakes.js';

/** What every evaluation gives. */
export interface EvaluatePass {
  /** Mean loss over the examples, with the trainer's label smoothing and weights: cross-entropy, binary cross-entropy or mean squared error. */
  loss: number;
  /** Seconds. */
  runtime: number;
  samplesPerSecond: number;
  /** Batches a second. */
  stepsPerSecond: number;
  examples: number;
  /** Texts that were longer than allowed and were cut. */
  truncated: number;
  /** How the split's labels were matched with the model's, where names differ in case or spaces or are numbers; what is not defined, and why. */
  notes: readonly string[];
  /** What `metrics` gave, by their names; absent where there were none. */
  custom?: Readonly<Record<string, number>>;
  /** With `mistakes`: the examples that the model is most wrong about, the worst first. */
  mistakes?: readonly Mistake[];
}

/** Each metric of a task; there are no others. */
type Scores<Name extends MetricName> = Record<Name, number> & Partial<Record<Exclude<MetricName, Name>, undefined>>;

/** Metrics that are not defined where a split lacks labels, or has nothing else. */
type Undefinable<Name extends MetricName> = Record<Name, number | null>;

/**
 * How a single-label model does. Precision, recall, f1_macro, auroc and average_precision are macro averages, as scikit-learn's, the
 * last two each label against the others, over the labels that occur. `ece` is the calibration error of the likeliest class.
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
 * How a multi-label model does. `accuracy` is the share of examples whose every label is right; precision, recall and f1_macro
 * are macro averages, as scikit-learn's, and so are auroc and average_precision, over the labels that occur. `ece` is the calibration
 * error of every label's score.
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

/** How a regression model does; null is what is not defined, e.g. a correlation of values that are all the same. */
export interface RegressionEvaluation
  extends EvaluatePass,
    Omit<Scores<'mse' | 'mae' | 'r2' | 'pearson' | 'spearman'>, 'r2' | 'pearson' | 'spearman'>,
    Undefinable<'r2' | 'pearson' | 'spearman'> {
  task: 'regression';
  /** The same by column, and some pairs of values. */
  metrics: RegressionMetrics;
}

/** How a model does on a split, by its task. */
export interface Evaluations {
  'single-label': SingleLabelEvaluation;
  'multi-label': MultiLabelEvaluation;
  regression: RegressionEvaluation;
}

/** How a model does on a split. */
export type EvaluateResult<Kind extends TaskKind = TaskKind> = Evaluations[Kind];

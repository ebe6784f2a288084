import { calibrationError } from '../metrics/calibration.js';
import { type MultiLabelMetrics, multiLabelMetrics } from '../metrics/multi-label.js';
import { rankingReport } from '../metrics/ranking.js';
import { binaryCrossEntropy, sigmoid } from '../metrics/single-label.js';
import { singleLabel } from './single-label.js';
import { hidden, shown, type Task } from './task.js';

/** The accuracy is that of whole sets of labels; precision, recall, AUROC and average precision are means over the labels. */
const METRICS = [
  shown('f1_micro', 'F1 micro'),
  shown('f1_macro', 'F1 macro'),
  shown('f1_samples', 'F1 samples'),
  shown('precision', 'precision'),
  shown('recall', 'recall'),
  shown('accuracy', 'subset accuracy'),
  hidden('f1_weighted', 'F1 weighted'),
  hidden('auroc', 'AUROC'),
  hidden('auroc_micro', 'AUROC micro'),
  hidden('average_precision', 'average precision'),
  hidden('average_precision_micro', 'average precision micro'),
  hidden('ece', 'calibration error'),
];

/** Any number of labels, or none: each is a question of its own. */
export const multiLabel = {
  kind: 'multi-label',
  title: 'multi-label classification',
  problemType: 'multi_label_classification',
  labels: 'classes',
  loss: 'binary_cross_entropy',
  activation: 'sigmoid',
  metrics: METRICS,
  headline: ['f1_micro', 'f1_macro'],
  // As transformers' run_classification.py has it.
  bestMetric: 'f1_micro',
  tellingMetric: 'f1_micro',
  lossOptions: ['focalGamma', 'classWeights', 'positiveWeights'],
  sumLoss(logits, labels, classes, weights) {
    return { total: labels.length * binaryCrossEntropy(logits, labels, classes, weights), weight: labels.length };
  },
  decide: (logits, classes, thresholds) =>
    Int32Array.from(sigmoid(logits), (score, i) => Number(score > thresholds[i % classes]!)),
  measure(labels, predictions, names, all) {
    const metrics = multiLabelMetrics(labels, predictions, names);
    const ranking = rankingReport(all, names.length, (i, c) => labels[i * names.length + c] !== 0);
    const { accuracy, macro, micro, weighted, samples } = metrics;
    const scores = {
      ...{ accuracy, precision: macro.precision, recall: macro.recall },
      ...{ f1_macro: macro.f1, f1_micro: micro.f1, f1_weighted: weighted.f1, f1_samples: samples.f1 },
      ...{ auroc: ranking.macro.auroc, auroc_micro: ranking.micro.auroc },
      average_precision: ranking.macro.averagePrecision,
      average_precision_micro: ranking.micro.averagePrecision,
      ece: calibrationError(all, (i) => labels[i] !== 0),
    };
    return { scores, metrics, notes: [] };
  },
  detailsOf: ({ perClass, micro, macro, weighted, samples }: MultiLabelMetrics) => ({
    labels: perClass,
    averages: { micro, macro, weighted, samples },
  }),
  noBetterThan: ({ micro, perClass }: MultiLabelMetrics) =>
    micro.f1 > 0 || perClass.every(({ support }) => support === 0) ? null : 'No label is ever predicted right',
  predict(logits, labels, thresholds) {
    // Of one label there is a score, whatever the task is called.
    if (labels.length === 1) return singleLabel.predict(logits, labels);
    const scores = sigmoid(logits);
    return {
      labels: labels.filter((_, c) => scores[c]! > thresholds[c]!),
      scores: Object.fromEntries(labels.map((label, c) => [label, scores[c]!])),
    };
  },
} as const satisfies Task;

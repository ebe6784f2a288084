import { formatShort } from '../format.js';
import { calibrationError } from '../metrics/calibration.js';
import { rankingReport } from '../metrics/ranking.js';
import {
  argmaxRows,
  type ClassificationMetrics,
  classificationMetrics,
  crossEntropy,
  sigmoid,
  softmax,
} from '../metrics/single-label.js';
import { listLabels } from './labels.js';
import { hidden, shown, type Task } from './task.js';

/** Precision, recall, F1 macro, AUROC and average precision are means over the labels. */
const METRICS = [
  shown('accuracy', 'accuracy'),
  shown('precision', 'precision'),
  shown('recall', 'recall'),
  shown('f1_macro', 'F1 macro'),
  hidden('f1_micro', 'F1 micro'),
  hidden('f1_weighted', 'F1 weighted'),
  hidden('auroc', 'AUROC'),
  hidden('average_precision', 'average precision'),
  hidden('ece', 'calibration error'),
];

/** Exactly one of several classes. */
export const singleLabel = {
  kind: 'single-label',
  title: 'single-label classification',
  problemType: 'single_label_classification',
  labels: 'class',
  loss: 'cross_entropy',
  activation: 'softmax',
  metrics: METRICS,
  headline: ['accuracy', 'f1_macro'],
  bestMetric: 'f1_macro',
  tellingMetric: 'accuracy',
  lossOptions: ['labelSmoothing', 'focalGamma', 'classWeights'],
  sumLoss(logits, labels, classes, { labelSmoothing, focalGamma, classWeights }) {
    let weight = 0;
    for (const label of labels) weight += classWeights?.[label] ?? 1;
    // Examples whose labels all weigh nothing have no mean, and no say.
    if (weight === 0) return { total: 0, weight };
    const options = { labelSmoothing, focalGamma, ...(classWeights && { classWeights }) };
    return { total: weight * crossEntropy(logits, labels, classes, options), weight };
  },
  decide: (logits, classes) => argmaxRows(logits, classes),
  measure(labels, predictions, names, all) {
    const metrics = classificationMetrics(labels, predictions, names);
    const classes = names.length;
    const ranking = rankingReport(all, classes, (i, c) => labels[i] === c).macro;
    const confidences = Float64Array.from(predictions, (label, i) => all[i * classes + label]!);
    const { accuracy, macro, micro, weighted } = metrics;
    const scores = {
      ...{ accuracy, precision: macro.precision, recall: macro.recall },
      ...{ f1_macro: macro.f1, f1_micro: micro.f1, f1_weighted: weighted.f1 },
      ...{ auroc: ranking.auroc, average_precision: ranking.averagePrecision },
      ece: calibrationError(confidences, (i) => labels[i] === predictions[i]),
    };
    return { scores, metrics, notes: [] };
  },
  detailsOf: ({ perClass, confusion }: ClassificationMetrics) => ({ labels: perClass, confusion }),
  noBetterThan({ accuracy, perClass }: ClassificationMetrics) {
    const occurring = perClass.filter(({ support }) => support > 0).length;
    if (occurring < 2) return null;
    const examples = perClass.reduce((sum, { support }) => sum + support, 0);
    const most = perClass.reduce((a, b) => (b.support > a.support ? b : a));
    const share = most.support / examples;
    const chance = Math.sqrt((share * (1 - share)) / examples);
    // A model that always gives one answer has a mean recall of 1 / classes.
    const recall = perClass.reduce((sum, row) => sum + row.recall, 0) / occurring;
    if (accuracy > share + chance || recall > 1.2 / occurring) return null;
    const [reached, guessed] = [accuracy, share].map(formatShort);
    return `An accuracy of ${reached} is no better than always answering ${listLabels([most.label])} (${guessed})`;
  },
  /** The score of one class by itself is a sigmoid, as in transformers' pipeline. */
  predict(logits, labels) {
    const scores = labels.length === 1 ? sigmoid(logits) : softmax(logits, labels.length);
    let best = 0;
    for (let c = 1; c < scores.length; c++) if (scores[c]! > scores[best]!) best = c;
    return {
      label: labels[best]!,
      score: scores[best]!,
      scores: Object.fromEntries(labels.map((label, c) => [label, scores[c]!])),
    };
  },
} as const satisfies Task;

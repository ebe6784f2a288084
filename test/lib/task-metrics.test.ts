import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { bestThresholds, multiLabelMetrics } from '../../lib/metrics/multi-label.js';
import { regressionMetrics } from '../../lib/metrics/regression.js';
import { binaryCrossEntropy, meanSquaredError, sigmoid } from '../../lib/metrics/single-label.js';
import { fixture } from './files.js';

const TOLERANCE = 1e-12;
const AVERAGES = ['micro', 'macro', 'weighted', 'samples'] as const;
type Values = Record<'precision' | 'recall' | 'f1', number>;

interface MultiLabelCase extends Record<(typeof AVERAGES)[number], Values> {
  name: string;
  logits: number[][];
  targets: number[][];
  accuracy: number;
  per_class: Record<'precision' | 'recall' | 'f1' | 'support', number[]>;
  loss: number;
  class_weights: number[];
  positive_weights: number[];
  weighted_loss: number;
}

interface RegressionCase {
  name: string;
  targets: number[][];
  predictions: number[][];
  mse: number;
  mae: number;
  r2: number;
  columns: Record<'mse' | 'mae' | 'r2' | 'pearson' | 'spearman', number>[];
}

const cases = JSON.parse(readFileSync(fixture('task-metrics.json'), 'utf8')) as {
  multi_label: MultiLabelCase[];
  regression: RegressionCase[];
};
const names = (count: number) => Array.from({ length: count }, (_, i) => `label ${i}`);

describe('metrics of multi-label classification', () => {
  for (const data of cases.multi_label) {
    const classes = data.targets[0]!.length;
    const [logits, targets] = [data.logits.flat(), data.targets.flat()];

    it(`equal scikit-learn's: ${data.name}`, () => {
      const metrics = multiLabelMetrics(
        targets,
        logits.map((logit) => Number(logit > 0)),
        names(classes),
      );
      expect(metrics.examples).to.equal(data.targets.length);
      expect(metrics.accuracy).to.be.closeTo(data.accuracy, TOLERANCE);
      for (const average of AVERAGES) {
        for (const key of ['precision', 'recall', 'f1'] as const) {
          expect(metrics[average][key], `${average} ${key}`).to.be.closeTo(data[average][key], TOLERANCE);
        }
      }
      metrics.perClass.forEach((row, c) => {
        for (const key of ['precision', 'recall', 'f1', 'support'] as const) {
          expect(row[key], `${key} of ${c}`).to.be.closeTo(data.per_class[key][c]!, TOLERANCE);
        }
      });
    });

    it(`are beside a loss that equals torch's: ${data.name}`, () => {
      expect(binaryCrossEntropy(logits, targets, classes)).to.be.closeTo(data.loss, TOLERANCE);
      const weights = { classWeights: data.class_weights, positiveWeights: data.positive_weights };
      expect(binaryCrossEntropy(logits, targets, classes, weights)).to.be.closeTo(data.weighted_loss, TOLERANCE);
    });

    it(`are never worse with the best thresholds: ${data.name}`, () => {
      const scores = sigmoid(logits);
      const thresholds = bestThresholds(scores, targets, classes);
      const f1 = (all: readonly number[]) =>
        multiLabelMetrics(
          targets,
          [...scores].map((score, i) => Number(score > all[i % classes]!)),
          names(classes),
        ).perClass.map((row) => row.f1);
      const best = f1(thresholds);
      for (const threshold of [0.5, 0, ...scores]) {
        f1(new Array(classes).fill(threshold)).forEach((value, c) => {
          expect(best[c]).to.be.at.least(value - TOLERANCE);
        });
      }
    });
  }

  it('keep a threshold of 0.5 where it does as well, or nothing is known', () => {
    expect(bestThresholds([0.9, 0.1, 0.6, 0.2, 0.3, 0.3, 0.3, 0.4], [1, 0, 1, 0, 0, 0, 0, 0], 2)).to.deep.equal([
      0.5, 0.5,
    ]);
    expect(bestThresholds([0.4, 0.2, 0.1], [1, 0, 0], 1)[0]).to.be.closeTo(0.3, 1e-15);
    expect(bestThresholds([0.8, 0.7, 0.6], [1, 0, 0], 1)).to.deep.equal([0.75]);
  });

  it('have a loss that is finite for any logit', () => {
    expect(binaryCrossEntropy([1000, -1000], [1, 0], 1)).to.equal(0);
    expect(binaryCrossEntropy([1000, -1000], [0, 1], 1)).to.equal(1000);
  });
});

describe('metrics of regression', () => {
  for (const data of cases.regression) {
    it(`equal scikit-learn's and scipy's: ${data.name}`, () => {
      const [targets, predictions] = [data.targets.flat(), data.predictions.flat()];
      const metrics = regressionMetrics(targets, predictions, names(data.columns.length));
      for (const key of ['mse', 'mae', 'r2'] as const) expect(metrics[key]).to.be.closeTo(data[key], 1e-9);
      metrics.perColumn.forEach((row, c) => {
        for (const key of ['mse', 'mae', 'r2', 'pearson', 'spearman'] as const) {
          expect(row[key], `${key} of ${c}`).to.be.closeTo(data.columns[c]![key], 1e-9);
        }
      });
      expect(metrics.notes).to.deep.equal([]);
      expect(meanSquaredError(predictions, targets)).to.be.closeTo(data.mse, 1e-9);
    });
  }

  it('are null, with a note, where they are not defined', () => {
    const constant = regressionMetrics([0.1, 0.1, 0.1], [1, 2, 3], ['score']);
    expect(constant).to.include({ r2: null, pearson: null, spearman: null });
    expect(constant.notes).to.deep.equal([
      'The values of "score" do not vary: they have no r² and no correlation with predictions.',
    ]);
    const still = regressionMetrics([1, 2, 3], [0.1, 0.1, 0.1], ['score']);
    expect(still).to.include({ pearson: null, spearman: null });
    expect(still.notes).to.deep.equal(['The predictions of "score" do not vary: they have no correlation.']);
    const both = regressionMetrics([1, 5, 2, 5, 4, 5], [1, 1, 2, 2, 4, 3], ['a', 'b']);
    expect(both.pearson).to.equal(1);
    expect(both.perColumn[1]!.r2).to.equal(null);
  });

  it('keep some pairs for a chart', () => {
    const values = Float64Array.from({ length: 5000 }, (_, i) => i);
    const { pairs } = regressionMetrics(values, values, ['a', 'b']);
    expect(pairs).to.have.length.within(500, 1000);
    expect(new Set(pairs.map(({ label }) => label))).to.deep.equal(new Set(['a', 'b']));
  });
});

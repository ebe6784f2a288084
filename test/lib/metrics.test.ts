import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { argmaxRows, classificationMetrics, crossEntropy, softmax } from '../../lib/metrics/single-label.js';
import { expectRefusal, fixture } from './files.js';

const TOLERANCE = 1e-12;

type Values = Record<'precision' | 'recall' | 'f1', number>;

interface MetricsCase {
  name: string;
  classes: number;
  labels: number[];
  predictions: number[];
  accuracy: number;
  macro: Values;
  micro: Values;
  weighted: Values;
  per_class: Record<'precision' | 'recall' | 'f1' | 'support', number[]>;
  confusion: number[][];
}

interface LossCase {
  gamma?: number;
  name: string;
  logits: number[][];
  labels: number[];
  weights: number[] | null;
  smoothing: number;
  loss: number;
}

function readCases<Case>(name: string): Case[] {
  return (JSON.parse(readFileSync(fixture(name), 'utf8')) as { cases: Case[] }).cases;
}

function names(classes: number): string[] {
  return Array.from({ length: classes }, (_, i) => `class ${i}`);
}

/** How many classes occur, over which scikit-learn averages unless it is told of others. */
function occurring({ labels, predictions }: MetricsCase): number {
  return new Set([...labels, ...predictions]).size;
}

describe('metrics', () => {
  describe('classificationMetrics', () => {
    for (const data of readCases<MetricsCase>('metrics.json')) {
      it(`equals scikit-learn: ${data.name}`, () => {
        const metrics = classificationMetrics(data.labels, data.predictions, names(data.classes));
        expect(metrics.examples).to.equal(data.labels.length);
        expect(metrics.accuracy).to.be.closeTo(data.accuracy, TOLERANCE);
        expect(metrics.confusion).to.deep.equal(data.confusion);
        for (const key of ['precision', 'recall', 'f1'] as const) {
          // The reference averages over all classes, those that occur nowhere (with zeros) included.
          const macro = (data.macro[key] * data.classes) / occurring(data);
          expect(metrics.macro[key], `macro ${key}`).to.be.closeTo(macro, TOLERANCE);
          expect(metrics.micro[key], `micro ${key}`).to.be.closeTo(data.micro[key], TOLERANCE);
          expect(metrics.weighted[key], `weighted ${key}`).to.be.closeTo(data.weighted[key], TOLERANCE);
          metrics.perClass.forEach((report, c) => {
            expect(report[key], `${key} of class ${c}`).to.be.closeTo(data.per_class[key][c]!, TOLERANCE);
          });
        }
        expect(metrics.perClass.map(({ label }) => label)).to.deep.equal(names(data.classes));
        expect(metrics.perClass.map(({ support }) => support)).to.deep.equal(data.per_class.support);
      });
    }

    it('averages over the classes that occur, as scikit-learn without labels=', () => {
      // precision_recall_fscore_support([0, 0, 2], [0, 2, 2], average='macro', zero_division=0)
      const { macro } = classificationMetrics([0, 0, 2], Int32Array.of(0, 2, 2), ['a', 'b', 'c']);
      expect(macro.precision).to.be.closeTo(0.75, TOLERANCE);
      expect(macro.recall).to.be.closeTo(0.75, TOLERANCE);
      expect(macro.f1).to.be.closeTo(2 / 3, TOLERANCE);
    });

    it('refuses lengths that differ, classes out of range, and no examples', async () => {
      const labels = ['a', 'b'];
      await expectRefusal(() => classificationMetrics([0, 1], [0], labels), 'SHAPE_MISMATCH', '2 predictions', '1');
      await expectRefusal(() => classificationMetrics([2], [0], labels), 'INVALID_DATA', 'a label in 0..1 at index 0');
      await expectRefusal(() => classificationMetrics([0], [-1], labels), 'INVALID_DATA', 'a prediction in 0..1');
      await expectRefusal(() => classificationMetrics([0.5], [0], labels), 'INVALID_DATA', '0.5');
      await expectRefusal(() => classificationMetrics([], [], labels), 'INVALID_DATA', 'at least one label');
    });
  });

  describe('softmax', () => {
    it('gives rows that sum to one', () => {
      const probabilities = softmax(Float32Array.of(0, 0, 0, Math.log(3)), 2);
      expect(probabilities).to.be.instanceOf(Float64Array);
      expect([...probabilities.subarray(0, 2)]).to.deep.equal([0.5, 0.5]);
      expect(probabilities[3]).to.be.closeTo(0.75, 1e-7);
    });

    it('does not overflow', () => {
      expect([...softmax(Float64Array.of(1000, 0, -1000), 3)]).to.deep.equal([1, 0, 0]);
    });

    it('refuses a number of values that is no multiple of the classes', async () => {
      await expectRefusal(() => softmax(new Float64Array(5), 2), 'SHAPE_MISMATCH', 'rows of 2 values', '5 values');
      await expectRefusal(() => softmax(new Float64Array(5), 0), 'INVALID_OPTION', 'classes');
    });
  });

  describe('argmaxRows', () => {
    it('takes the first of equals, and NaN before all, as numpy does', () => {
      const values = Float32Array.of(1, 3, 2, 5, 5, 4, -2, -1, -1, 1, Number.NaN, 9, Number.NaN, Number.NaN, 0);
      expect([...argmaxRows(values, 3)]).to.deep.equal([1, 0, 1, 1, 0]);
      expect(argmaxRows(new Float32Array(0), 3)).to.have.length(0);
    });
  });

  describe('crossEntropy', () => {
    for (const { name, gamma = 0, logits, labels, weights, smoothing, loss } of readCases<LossCase>('loss.json')) {
      it(`equals torch: ${name}`, () => {
        const options = {
          labelSmoothing: smoothing,
          focalGamma: gamma,
          ...(weights === null ? {} : { classWeights: weights }),
        };
        const computed = crossEntropy(Float64Array.from(logits.flat()), labels, logits[0]!.length, options);
        expect(computed).to.be.closeTo(loss, TOLERANCE * Math.max(1, Math.abs(loss)));
      });
    }

    it('refuses what does not fit together', async () => {
      const logits = new Float64Array(6);
      await expectRefusal(() => crossEntropy(logits, [0], 3), 'SHAPE_MISMATCH', '2 labels');
      await expectRefusal(() => crossEntropy(logits, [0, 3], 3), 'INVALID_DATA', 'index 1', 'received 3');
      await expectRefusal(
        () => crossEntropy(logits, [0, 1], 3, { classWeights: [1] }),
        'SHAPE_MISMATCH',
        'classWeights',
      );
      await expectRefusal(
        () => crossEntropy(logits, [0, 1], 3, { labelSmoothing: 1.5 }),
        'INVALID_OPTION',
        'Smoothing',
      );
      await expectRefusal(() => crossEntropy(new Float64Array(0), [], 3), 'INVALID_DATA', 'at least one label');
    });
  });
});

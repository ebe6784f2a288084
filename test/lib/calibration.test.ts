import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { PredictionService } from '../../lib/api/serving/service.js';
import { Trainer } from '../../lib/api/trainer.js';
import type { Split } from '../../lib/data/dataset.js';
import { full, lora } from '../../lib/methods/index.js';
import { calibrationError, fitTemperature } from '../../lib/metrics/calibration.js';
import { crossEntropy, softmax } from '../../lib/metrics/single-label.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { copyWith, expectRefusal, useTemporaryDirectory } from './files.js';
import { LABELS, randomNumbers, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const CPU = { device: 'cpu', threads: 2 } as const;

/** The same split with a part of its labels wrong, which a model that has learnt the others is sure of. */
function noisy(split: ReturnType<typeof tinySplit>): Split {
  const random = randomNumbers(11);
  return { ...split, labels: split.labels.map((label) => (random() < 0.3 ? (label + 1) % LABELS.length : label)) };
}

describe('calibration', () => {
  const directory = useTemporaryDirectory();

  it('measures how far scores are from the share that is right', () => {
    // Two bins: 0.95 where 3 of 4 are right, 0.35 where 1 of 2 is.
    const confidences = [0.95, 0.95, 0.95, 0.95, 0.35, 0.35];
    const right = [1, 1, 1, 0, 1, 0];
    const gap = (4 * Math.abs(0.75 - 0.95) + 2 * Math.abs(0.5 - 0.35)) / 6;
    expect(calibrationError(confidences, (i) => right[i] === 1)).to.be.closeTo(gap, 1e-12);
    expect(calibrationError([1, 0], (i) => i === 0)).to.equal(0);
  });

  it('finds the temperature with the lowest cross-entropy, as a search does', () => {
    const random = randomNumbers(5);
    const labels = Int32Array.from({ length: 300 }, () => Math.floor(random() * 3));
    const logits = Float64Array.from(
      { length: 900 },
      (_, i) => 6 * random() + (labels[Math.floor(i / 3)] === i % 3 ? 2 : 0),
    );
    const loss = (temperature: number) =>
      crossEntropy(
        logits.map((logit) => logit / temperature),
        labels,
        3,
      );
    const found = fitTemperature(logits, { activation: 'softmax', classes: 3, labels });
    for (const other of [found * 0.99, found * 1.01]) expect(loss(found)).to.be.below(loss(other));
    // Logits that are the truth's own need none; twice as large ones are cooled by two.
    const drawn = Float64Array.from({ length: 3 * 20_000 }, () => 4 * random());
    const scores = softmax(drawn, 3);
    const classes = Int32Array.from({ length: 20_000 }, (_, i) => {
      const draw = random();
      return draw < scores[3 * i]! ? 0 : draw < scores[3 * i]! + scores[3 * i + 1]! ? 1 : 2;
    });
    const doubled = drawn.map((logit) => 2 * logit);
    const two = fitTemperature(doubled, { activation: 'softmax', classes: 3, labels: classes });
    expect(two).to.be.closeTo(2, 0.06);
    const targets = Float32Array.from(scores, (score) => Number(score > random()));
    expect(fitTemperature(drawn, { activation: 'sigmoid', classes: 3, labels: targets })).to.be.within(0.01, 100);
    expect(fitTemperature([9, 0], { activation: 'softmax', classes: 2, labels: [0] })).to.be.closeTo(0.01, 1e-6);
  });

  for (const method of [full(), lora({ rank: 4 })]) {
    it(`is fitted in training, saved, and used by everything that scores: ${method.kind}`, async () => {
      await writeTinyCheckpoint(directory.path('base'));
      await using model = await TextClassifier.load(directory.path('base'), CPU);
      const validation = noisy(tinySplit('validation', 120, 2));
      const trainer = new Trainer(model, { method, epochs: 12, learningRate: 0.01, calibrate: true, seed: 3 });
      const { calibration, evaluation } = await trainer.train(tinySplit('train', 90, 1), { validation });
      const { temperature, eceBefore, eceAfter } = calibration!;
      expect(temperature).to.be.above(1.2);
      expect(eceAfter).to.be.below(eceBefore / 2);
      expect(model.temperature).to.equal(temperature);
      expect(evaluation!.ece).to.be.closeTo(eceAfter, 1e-6);

      await model.save(directory.path('out'));
      await using again = await TextClassifier.load(directory.path('out'), CPU);
      expect(again.temperature).to.equal(temperature);
      const { texts } = validation;
      const { logits } = await again.logits(texts);
      const expected = softmax(
        logits.map((logit) => logit / temperature),
        3,
      );
      await using service = new PredictionService(again);
      for (const predictions of [await again.predict(texts), await service.predict(texts)]) {
        predictions.forEach(({ scores }, i) => {
          for (const [c, label] of LABELS.entries()) expect(scores[label]).to.be.closeTo(expected[3 * i + c]!, 1e-6);
        });
      }
      const measured = await again.evaluate(validation);
      expect(measured.ece).to.be.closeTo(eceAfter, 1e-6);
      // The decisions, and the loss of the logits, are what they were.
      again.keepDecision({ thresholds: null, temperature: null });
      const plain = await again.evaluate(validation);
      expect(plain.ece).to.be.closeTo(eceBefore, 1e-6);
      expect([plain.loss, plain.accuracy]).to.deep.equal([measured.loss, measured.accuracy]);
      // Other parameters make it meaningless.
      await new Trainer(model, { method, maxSteps: 1 }).train(tinySplit('train', 16, 1));
      expect(model.temperature).to.equal(null);
    });
  }

  it('is of no use where there is nothing to fit, or a file holds none', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    await using model = await TextClassifier.load(directory.path('base'), CPU);
    const trainer = new Trainer(model, { calibrate: true });
    await expectRefusal(trainer.train(tinySplit('train', 16, 1)), 'INVALID_OPTION', 'calibrate', 'validation');
    await using values = await TextClassifier.load(directory.path('base'), { ...CPU, task: 'regression', head: 'new' });
    await expectRefusal(() => new Trainer(values, { calibrate: true }), 'INVALID_OPTION', 'calibrate', 'regression');
    const odd = await copyWith(directory.path('base'), directory.path('odd'), 'config.json', (config) => {
      config.bertune = { temperature: -1 };
    });
    await expectRefusal(TextClassifier.load(odd, CPU), 'CHECKPOINT_INVALID', 'temperature', 'positive');
    expect(JSON.parse(await readFile(directory.path('base', 'config.json'), 'utf8'))).not.to.have.property('bertune');
  });
});

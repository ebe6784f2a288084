import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { PredictionService } from '../../lib/api/serving/service.js';
import { Trainer } from '../../lib/api/trainer.js';
import type { Split } from '../../lib/data/dataset.js';
import { full, lora } from '../../lib/methods/index.js';
import { bestThresholds, multiLabelMetrics } from '../../lib/metrics/multi-label.js';
import { regressionMetrics } from '../../lib/metrics/regression.js';
import { binaryCrossEntropy, meanSquaredError, sigmoid } from '../../lib/metrics/single-label.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { LogRow } from '../../lib/training/state.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const TOPICS = ['bad', 'unsure', 'good'];
const CPU = { device: 'cpu', threads: 2 } as const;

/** Texts with a label for the class of their words, and another where they speak of home. */
function labelled(name: string, examples: number, seed: number): Split {
  const split = tinySplit(name, examples, seed);
  const labels = Float32Array.from({ length: 3 * examples }, (_, i) => {
    const [row, column] = [Math.floor(i / 3), i % 3];
    const isHome = column === 1 && split.texts[row]!.includes('home');
    return Number(split.labels[row] === column || isHome);
  });
  return { ...split, task: 'multi-label', labels, labelNames: TOPICS };
}

/** Texts with two values: their class, and their length. */
function valued(name: string, examples: number, seed: number): Split {
  const split = tinySplit(name, examples, seed);
  const labels = Float32Array.from({ length: 2 * examples }, (_, i) => {
    const row = Math.floor(i / 2);
    return i % 2 === 0 ? split.labels[row]! : split.texts[row]!.split(' ').length / 4;
  });
  return { ...split, task: 'regression', labels, labelNames: ['mood', 'length'] };
}

describe('tasks', () => {
  const directory = useTemporaryDirectory();
  const train = { 'multi-label': labelled('train', 60, 1), regression: valued('train', 60, 1) };
  const validation = { 'multi-label': labelled('validation', 40, 2), regression: valued('validation', 40, 2) };

  async function load<Kind extends 'multi-label' | 'regression'>(task: Kind) {
    await writeTinyCheckpoint(directory.path('base'), { labels: train[task].labelNames });
    return TextClassifier.load(directory.path('base'), { ...CPU, task });
  }

  /** The loss of the first step, of all examples at once. */
  async function firstLoss(trainer: Trainer<'multi-label' | 'regression'>, split: Split): Promise<number> {
    const rows: LogRow[] = [];
    trainer.on('log', (row) => rows.push(row));
    await trainer.train(split);
    return rows[0]!.loss;
  }

  const once = { maxSteps: 1, loggingSteps: 1, batchSize: 60, learningRate: 0 };

  describe('multi-label', () => {
    const split = train['multi-label'];

    it('predicts each label by itself, and measures them together', async () => {
      await using model = await load('multi-label');
      expect(model.task).to.equal('multi-label');
      const { logits } = await model.logits(split.texts);
      const scores = sigmoid(logits);
      const predictions = await model.predict(split.texts);
      predictions.forEach(({ labels, scores: own }, i) => {
        expect(Object.keys(own)).to.deep.equal(TOPICS);
        TOPICS.forEach((topic, c) => {
          expect(own[topic]).to.be.closeTo(scores[3 * i + c]!, 1e-12);
          expect(labels.includes(topic)).to.equal(scores[3 * i + c]! > 0.5);
        });
      });
      const result = await model.evaluate(split);
      const decided = [...logits].map((logit) => Number(logit > 0));
      expect(result.metrics).to.deep.equal(multiLabelMetrics(split.labels, decided, TOPICS));
      expect(result.loss).to.be.closeTo(binaryCrossEntropy(logits, split.labels, 3), 1e-9);
      const { accuracy, f1_micro, f1_samples, metrics } = result;
      const { micro, samples } = metrics;
      expect({ accuracy, f1_micro, f1_samples }).to.deep.equal({
        ...{ accuracy: metrics.accuracy, f1_micro: micro.f1, f1_samples: samples.f1 },
      });
      const strict = await model.evaluate(split, { threshold: 1 });
      expect(strict.f1_micro).to.equal(0);
      expect((await model.predict('a day', { threshold: 1 }))[0].labels).to.deep.equal([]);
      expect((await model.predict('a day', { threshold: 0 }))[0].labels).to.deep.equal(TOPICS);
    });

    it('trains on the loss that it is measured by, weights and all', async () => {
      for (const weights of [
        {},
        { classWeights: [1, 3, 0.5] },
        { positiveWeights: { bad: 4 } },
        { classWeights: 'balanced', positiveWeights: 'balanced' },
      ] as const) {
        await using model = await load('multi-label');
        const trainer = new Trainer(model, { ...once, ...weights });
        const loss = await firstLoss(trainer, split);
        expect((await trainer.evaluate(split)).loss, JSON.stringify(weights)).to.be.closeTo(loss, 1e-6);
      }
    });

    it('balances by the examples that have a label and those that have not', async () => {
      await using model = await load('multi-label');
      const trainer = new Trainer(model, { ...once, positiveWeights: 'balanced' });
      let weights: readonly number[] | null = null;
      trainer.on('start', (plan) => {
        weights = plan.positiveWeights;
      });
      await trainer.train(split);
      const counts = TOPICS.map((_, c) =>
        (split.labels as Float32Array).filter((_value, i) => i % 3 === c).reduce((a, b) => a + b),
      );
      expect(weights).to.deep.equal(counts.map((count) => (60 - count) / count));
    });

    it('learns, takes the best epoch, and chooses thresholds that are saved', async () => {
      for (const [name, method] of Object.entries({ full: full(), lora: lora({ rank: 4 }) })) {
        await using model = await load('multi-label');
        const options = { method, learningRate: 0.01, epochs: 12, loadBestModel: true, tuneThresholds: true, seed: 3 };
        const trainer = new Trainer(model, options);
        expect(trainer.settings.metricForBest).to.equal('f1_micro');
        const result = await trainer.train(split, { validation: validation['multi-label'] });
        const rows = result.logHistory.flatMap((row) => ('eval_loss' in row ? [row] : []));
        expect(rows[0]).to.include.keys('eval_f1_micro', 'eval_f1_samples', 'eval_accuracy');
        expect(result.best?.metric).to.equal(Math.max(...rows.map((row) => row.eval_f1_micro!)));
        const { texts, labels } = validation['multi-label'];
        const scores = sigmoid((await model.logits(texts)).logits);
        const thresholds = bestThresholds(scores, labels, 3);
        expect(model.thresholds).to.deep.equal(Object.fromEntries(TOPICS.map((topic, c) => [topic, thresholds[c]])));
        const { f1_macro } = await model.evaluate(validation['multi-label']);
        expect(result.evaluation?.f1_macro).to.equal(f1_macro);
        expect(f1_macro).to.be.at.least((await model.evaluate(validation['multi-label'], { threshold: 0.5 })).f1_macro);
        await model.save(directory.path(name));

        await using again = await TextClassifier.load(directory.path(name), { ...CPU, task: 'multi-label' });
        expect(again.thresholds).to.deep.equal(model.thresholds);
        expect((await again.evaluate(validation['multi-label'])).f1_macro).to.equal(f1_macro);
        const predictions = await again.predict(texts);
        await using service = new PredictionService(again);
        expect((await service.predict(texts)).map((each) => each.labels)).to.deep.equal(
          predictions.map((each) => each.labels),
        );
      }
      const config = JSON.parse(await readFile(directory.path('full', 'config.json'), 'utf8'));
      expect(config.problem_type).to.equal('multi_label_classification');
      expect(Object.keys(config.bertune.thresholds)).to.deep.equal([...TOPICS].sort());
    });
  });

  describe('regression', () => {
    const split = train.regression;

    it('predicts values, and measures how near they are', async () => {
      await using model = await load('regression');
      const { logits } = await model.logits(split.texts);
      const [first] = await model.predict(split.texts);
      expect(first).to.deep.equal({ values: { mood: logits[0], length: logits[1] } });
      const { mse, r2, pearson, spearman, loss, metrics } = await model.evaluate(split);
      const expected = regressionMetrics(split.labels, logits, ['mood', 'length']);
      expect(metrics).to.deep.equal(expected);
      expect({ mse, r2, pearson, spearman }).to.deep.equal({
        ...{ mse: expected.mse, r2: expected.r2, pearson: expected.pearson, spearman: expected.spearman },
      });
      expect(loss).to.be.closeTo(meanSquaredError(logits, split.labels), 1e-9);
    });

    it('trains on the loss that it is measured by', async () => {
      await using model = await load('regression');
      const trainer = new Trainer(model, once);
      const loss = await firstLoss(trainer, split);
      expect((await trainer.evaluate(split)).loss).to.be.closeTo(loss, 1e-5);
    });

    it('learns, and the best epoch is that of the lowest error', async () => {
      await using model = await load('regression');
      const trainer = new Trainer(model, { learningRate: 0.01, epochs: 12, loadBestModel: true });
      expect(trainer.settings.metricForBest).to.equal('mse');
      const result = await trainer.train(split, { validation: validation.regression });
      const errors = result.logHistory.flatMap((row) => ('eval_loss' in row ? [row.eval_mse!] : []));
      expect(result.best?.metric).to.equal(Math.min(...errors));
      expect(result.state.best_metric).to.equal(Math.min(...errors));
      const { mse, r2 } = await model.evaluate(validation.regression);
      expect(mse).to.be.closeTo(Math.min(...errors), 1e-6);
      expect(r2).to.be.greaterThan(0.5);
      await model.save(directory.path('model'));
      await using again = await TextClassifier.load<'regression'>(directory.path('model'), CPU);
      expect(again.task).to.equal('regression');
      expect((await again.evaluate(validation.regression)).mse).to.equal(mse);
    });

    it('gives one value by itself', async () => {
      await writeTinyCheckpoint(directory.path('base'), { labels: ['score'] });
      await using model = await TextClassifier.load(directory.path('base'), { ...CPU, task: 'regression' });
      const { logits } = await model.logits('a good day');
      expect(await model.predict('a good day')).to.deep.equal([{ value: logits[0] }]);
      // Without a task it is a score, as in transformers' pipeline.
      await using score = await TextClassifier.load(directory.path('base'), CPU);
      const [prediction] = await score.predict('a good day');
      expect(prediction.score).to.be.closeTo(1 / (1 + Math.exp(-logits[0]!)), 1e-12);
    });
  });

  it('refuse what means nothing to them', async () => {
    await using labels = await load('multi-label');
    await using values = await load('regression');
    const refused = (make: () => unknown, message: string) =>
      expectRefusal(async () => make(), 'INVALID_OPTION', message);
    await refused(() => new Trainer(labels, { labelSmoothing: 0.1 }), 'labelSmoothing has no effect in multi-label');
    await refused(() => new Trainer(values, { classWeights: 'balanced' }), 'classWeights has no effect in regression');
    await refused(() => new Trainer(values, { focalGamma: 2 }), 'focalGamma has no effect in regression');
    await refused(() => new Trainer(values, { tuneThresholds: true }), 'tuneThresholds has no effect in regression');
    await refused(() => new Trainer(values, { metricForBest: 'accuracy' }), 'choose one of loss, mse, mae, r2');
    await using classes = await TextClassifier.load(directory.path('base'), CPU);
    await refused(() => new Trainer(classes, { positiveWeights: 'balanced' }), 'positiveWeights has no effect');
    await expectRefusal(
      new Trainer(labels, { tuneThresholds: true }).train(train['multi-label']),
      'INVALID_OPTION',
      'validation',
    );
    await expectRefusal(
      labels.evaluate(train.regression),
      'INVALID_DATA',
      "split is for regression; load the model with task: 'regression'",
    );
    await expectRefusal(labels.predict('a', { threshold: 2 }), 'INVALID_OPTION', 'threshold');
    await expectRefusal(
      TextClassifier.load(directory.path('base'), { task: 'other' as never }),
      'INVALID_OPTION',
      'task',
    );
  });

  it('keep a classifier to its own', async () => {
    await using model = await load('multi-label');
    await model.save(directory.path('saved'));
    const source = directory.path('saved');
    await expectRefusal(
      TextClassifier.load(source, { ...CPU, task: 'single-label' }),
      'INVALID_OPTION',
      'is for multi-label',
    );
    await using fresh = await TextClassifier.load(source, {
      ...CPU,
      task: 'single-label',
      head: 'fit',
      labels: TOPICS,
    });
    expect(fresh.notes.join()).to.contain('it gets a new classifier');
    expect(fresh.task).to.equal('single-label');
  });
});

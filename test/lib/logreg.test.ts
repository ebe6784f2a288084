import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import type { Split } from '../../lib/data/dataset.js';
import { logreg, type Method } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { type TaskKind, taskOf } from '../../lib/tasks/index.js';
import { fitLinear } from '../../lib/training/fit/linear-model.js';
import { resolveTrainerOptions, type TrainerOptions } from '../../lib/training/options.js';
import { expectRefusal, fixture, useTemporaryDirectory } from './files.js';
import { LABELS, randomNumbers, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

interface LinearCase {
  name: string;
  task: TaskKind;
  l2: number;
  inputs: number[][];
  labels: number[] | number[][];
  class_weights?: number[] | null;
  weights: number[][];
  biases: number[];
  logits: number[][];
}

const { cases } = JSON.parse(readFileSync(fixture('linear-models.json'), 'utf8')) as { cases: LinearCase[] };
const CPU = { device: 'cpu', threads: 1 } as const;

/** Within 1e-4 of the largest. */
function expectClose(found: Float64Array, expected: readonly number[]): void {
  expect(found).to.have.length(expected.length);
  const scale = Math.max(1, ...expected.map(Math.abs));
  for (const [i, value] of expected.entries()) expect(found[i]).to.be.closeTo(value, 1e-4 * scale);
}

describe('a linear model of features', () => {
  for (const { name, task, l2, inputs, labels, class_weights: weights = null, ...expected } of cases) {
    it(`equals scikit-learn's: ${name}`, async () => {
      const classes = expected.biases.length;
      const flat = labels.flat();
      const data = {
        ...{ inputs: Float64Array.from(inputs.flat()), task: taskOf(task), classes },
        labels: task === 'single-label' ? Int32Array.from(flat) : Float32Array.from(flat),
        loss: { labelSmoothing: 0, classWeights: weights, positiveWeights: null, focalGamma: 0 },
      };
      const found = await fitLinear(data, { l2, seed: 1 });
      expectClose(found.weights, expected.weights.flat());
      expectClose(found.biases, expected.biases);
      expectClose(found.logits, expected.logits.flat());
    });
  }

  it('takes the strength that does best on texts left out, the same for the same seed', async () => {
    // One feature in twenty tells the classes apart; the others are noise to be learnt by heart.
    const random = randomNumbers(3);
    const noise = () => 4 * (random() - 0.5);
    const labels = Int32Array.from({ length: 60 }, (_, i) => i % 2);
    const inputs = Float64Array.from(
      { length: 60 * 20 },
      (_, i) => noise() + (i % 20 === 0 ? 2 * (Math.floor(i / 20) % 2) : 0),
    );
    const loss = { labelSmoothing: 0, classWeights: null, positiveWeights: null, focalGamma: 0 };
    const solved = () =>
      fitLinear(
        { inputs: inputs.slice(), task: taskOf('single-label'), labels, classes: 2, loss },
        { l2: 'auto', seed: 5 },
      );
    const { l2, weights } = await solved();
    expect(l2).to.be.within(1, 100);
    expect((await solved()).weights).to.deep.equal(weights);
  });

  it('learns no strength from other windows of the texts left out', async () => {
    // Nothing tells the labels of texts, but windows of one text are alike.
    const random = randomNumbers(7);
    const [texts, each, size] = [30, 4, 20];
    const text = Float64Array.from({ length: texts * size }, () => random() - 0.5);
    const inputs = Float64Array.from(
      { length: texts * each * size },
      (_, i) => text[Math.floor(i / (each * size)) * size + (i % size)]! + 0.1 * (random() - 0.5),
    );
    const classes = Array.from({ length: texts }, () => Number(random() < 0.5));
    const { l2 } = await fitLinear(
      {
        ...{ inputs, task: taskOf('single-label'), classes: 2 },
        labels: Int32Array.from({ length: texts * each }, (_, i) => classes[Math.floor(i / each)]!),
        loss: { labelSmoothing: 0, classWeights: null, positiveWeights: null, focalGamma: 0 },
        windows: Int32Array.from({ length: texts + 1 }, (_, i) => i * each),
      },
      { l2: 'auto', seed: 5 },
    );
    expect(l2).to.be.at.least(100);
  });
});

describe('logreg', () => {
  const directory = useTemporaryDirectory();

  /** The split with labels of another task. */
  function split(task: TaskKind, seed: number): Split {
    const { labels, ...words } = tinySplit('train', 240, seed);
    if (task === 'single-label') return { ...words, labels };
    const names = ['yes or maybe', 'no'];
    const values = [...labels].flatMap((label) =>
      task === 'multi-label' ? [Number(label > 0), Number(label === 0)] : [10 * label, -label],
    );
    return { ...words, task, labelNames: names, labels: Float32Array.from(values) };
  }

  for (const family of ['bert-multi', 'distilbert', 'electra', 'roberta']) {
    it(`embeds the first token, whatever the head's activation, and saves a plain checkpoint: ${family}`, async () => {
      const base = fixture('families/bases', family);
      await using model = await TextClassifier.load(base, {
        ...CPU,
        task: 'single-label',
        labels: LABELS,
        head: 'new',
      });
      const { texts, ...others } = tinySplit('train', 30, 1);
      const train = { ...others, texts };
      const before = await model.embed(texts, { pooling: 'first' });
      const { accuracy } = await new Trainer(model, { method: logreg({ l2: 1 }), evaluationStrategy: 'no' })
        .train(train)
        .then(() => model.evaluate(train));
      expect(await model.embed(texts, { pooling: 'first' })).to.deep.equal(before);
      // Within what little the activation bends, they are the logits of a regression on the embeddings themselves.
      const size = model.config.hiddenSize;
      const inputs = Float64Array.from({ length: 30 * size }, (_, i) => before[Math.floor(i / size)]![i % size]!);
      const data = { inputs, task: taskOf('single-label'), labels: train.labels, classes: 3 };
      const loss = { labelSmoothing: 0, classWeights: null, positiveWeights: null, focalGamma: 0 };
      const own = await fitLinear({ ...data, loss }, { l2: 1, seed: 1 });
      const right = [...train.labels].filter((label, i) => {
        const row = own.logits.subarray(3 * i, 3 * i + 3);
        return row[label] === Math.max(...row);
      });
      expect(accuracy).to.be.closeTo(right.length / 30, 0.11);
      expect(accuracy).to.be.above(0.6);

      const saved = directory.path(`saved-${family}`);
      const { logits } = await model.logits(texts);
      await model.save(saved);
      await using again = await TextClassifier.load(saved, CPU);
      expect((await again.logits(texts)).logits).to.deep.equal(logits);
    });
  }

  it('is a run of one step, with its events, for every task', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    for (const task of ['single-label', 'multi-label', 'regression'] as const) {
      const train = split(task, 1);
      const options = { ...CPU, task, labels: train.labelNames, head: 'new' } as const;
      await using model = await TextClassifier.load(directory.path('base'), options);
      const trainer = new Trainer(model, { method: logreg({ l2: 1 }) } as TrainerOptions);
      const events: string[] = [];
      trainer.on('start', ({ totalSteps }) => events.push(`start ${totalSteps}`));
      trainer.on('evaluate', ({ step }) => events.push(`evaluate ${step}`));
      trainer.on('epoch', ({ epoch, epochs }) => events.push(`epoch ${epoch}/${epochs}`));
      const result = await trainer.train(train, { validation: split(task, 2) });
      expect(events).to.deep.equal(['start 1', 'evaluate 1', 'epoch 1/1']);
      expect(result).to.include({
        steps: 1,
        epochs: 1,
        stopped: 'done',
        trainableParameters: 32 * 33 + 33 * train.labelNames.length,
      });
      expect(result.logHistory.map((row) => Object.keys(row)[0])).to.deep.equal(['eval_loss', 'train_runtime']);
      const again = await trainer.evaluate(train);
      expect(again.loss).to.be.closeTo(result.trainLoss, 1e-4 * Math.max(1, result.trainLoss));
      const { loss: _, ...validation } = await model.evaluate(split(task, 2));
      const score = task === 'regression' ? validation.r2 : validation.f1_macro;
      expect(score, task).to.be.above(0.4);
    }
  });

  it('chooses its strength, fits scores to validation, and leaves the model as it was where it is stopped', async () => {
    await writeTinyCheckpoint(directory.path('chosen'));
    await using model = await TextClassifier.load(directory.path('chosen'), CPU);
    const trainer = new Trainer(model, { method: logreg({ l2: 'auto' }), calibrate: true, classWeights: 'balanced' });
    const { logits: before } = await model.logits('a day');
    const validation = tinySplit('validation', 20, 2);
    const stopped = trainer.train(tinySplit('train', 40, 1), { validation, signal: AbortSignal.abort() });
    await expectRefusal(() => stopped, 'ABORTED', 'stopped');
    const heard: Method[] = [];
    for (const event of ['evaluate', 'epoch'] as const) trainer.on(event, () => heard.push(trainer.settings.method));
    expect((await model.logits('a day')).logits).to.deep.equal(before);
    const { calibration } = await trainer.train(tinySplit('train', 40, 1), { validation });
    expect(heard).to.deep.equal([trainer.settings.method, trainer.settings.method]);
    expect(model.temperature).to.equal(calibration!.temperature);
    const { method } = trainer.settings;
    expect(method.kind === 'logreg' && method.l2).to.be.a('number');
    expect(model.method).to.deep.equal(method);
    // What it made is a plain checkpoint, which is trained further as any other.
    expect(new Trainer(model, { epochs: 1 }).settings.method.kind).to.equal('full');
  });

  it('names the text whose embedding is not finite, whichever of its windows it is', async () => {
    await writeTinyCheckpoint(directory.path('damaged'));
    await using model = await TextClassifier.load(directory.path('damaged'), CPU);
    const name = 'bert.embeddings.word_embeddings.weight';
    const ids = model.tokenizer.encode('sad', 8);
    const size = model.config.hiddenSize;
    const row = (await model.parameter(name)).map((value, i) => (ids.includes(Math.floor(i / size)) ? 3e38 : value));
    await model.session.write(name, row);
    const train = { ...tinySplit('train', 3, 1), texts: ['we went home with a friend', 'the day was sad', 'good'] };
    const options = { method: logreg(), maxLength: 4, stride: 1 };
    await expectRefusal(new Trainer(model, options).train(train), 'NON_FINITE_LOGITS', 'texts[1]');
  });

  it('refuses what has no effect without steps', async () => {
    const model = { labels: LABELS, hiddenSize: 32 };
    const refused: TrainerOptions[] = [
      ...[{ learningRate: 1e-3 }, { epochs: 3 }, { maxSteps: 5 }, { batchSize: 8 }, { weightDecay: 0 }],
      ...[{ loadBestModel: true }, { saveStrategy: 'no' as const }, { evaluationStrategy: 'steps' as const }],
    ];
    for (const options of refused) {
      const [name] = Object.keys(options);
      await expectRefusal(
        () => resolveTrainerOptions({ method: logreg(), ...options }, model),
        'INVALID_OPTION',
        new RegExp(`${name}.* has no effect with method.*logreg`),
      );
    }
    await expectRefusal(() => logreg({ l2: 0 }), 'INVALID_OPTION', 'l2');
  });
});

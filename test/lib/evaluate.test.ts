import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { ADAPTERS, writeTinyAdapter } from './tiny-adapters.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

describe('TextClassifier.evaluate', () => {
  const directory = useTemporaryDirectory();
  const test = tinySplit('test', 40, 5);
  const load = () => TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 2 });

  beforeEach(async () => {
    const config = await writeTinyCheckpoint(directory.path('base'));
    for (const name of ['dense', 'prefix'] as const) {
      await writeTinyAdapter(directory.path(name), directory.path('base'), config, ADAPTERS[name]);
    }
  });

  it('measures what a Trainer measures, in whatever batches', async () => {
    await using model = await load();
    const expected = await new Trainer(model).evaluate(test);
    for (const batchTokens of [1, 100, 1024]) {
      const { loss, metrics, stepsPerSecond, samplesPerSecond } = await model.evaluate(test, { batchTokens });
      expect(metrics).to.deep.equal(expected.metrics);
      expect(loss).to.be.closeTo(expected.loss, 1e-6);
      if (batchTokens === 1) expect(stepsPerSecond).to.be.closeTo(samplesPerSecond, 1e-9);
    }
    expect(await model.evaluate(test, { maxLength: 2 })).to.include({ examples: 40, truncated: 40 });
    expect(expected).to.not.have.property('mistakes');
  });

  it('names the examples that the model is most wrong about', async () => {
    await using model = await load();
    const { mistakes = [], accuracy } = await model.evaluate(test, { mistakes: 5 });
    const all = (await new Trainer(model).evaluate(test, { mistakes: 40 })).mistakes!;
    expect(all).to.have.lengthOf(Math.round(40 * (1 - accuracy)));
    expect(all.slice(0, 5).map(({ row }) => row)).to.deep.equal(mistakes.map(({ row }) => row));
    for (const { row, error, labels } of mistakes) {
      const { label, scores } = (await model.predict([test.texts[row]!]))[0]!;
      const truth = test.labelNames[test.labels[row]!]!;
      expect(labels.map((each) => each.label)).to.have.members([label, truth]);
      expect(error).to.be.closeTo(1 + scores[label]! - scores[truth]!, 1e-5);
    }
  });

  it('measures a model whose adapter is merged', async () => {
    await using model = await load();
    await new Trainer(model, { method: lora({ rank: 2 }), learningRate: 0.02, epochs: 1 }).train(
      tinySplit('train', 64, 1),
    );
    const { loss, metrics } = await model.evaluate(test);
    await model.merge();
    const merged = await model.evaluate(test);
    expect(merged.metrics).to.deep.equal(metrics);
    expect(merged.loss).to.be.closeTo(loss, 1e-5);
  });

  for (const name of ['dense', 'prefix'] as const) {
    it(`measures an adapter beside the model by its own labels: ${name}`, async () => {
      const split = { ...test, labelNames: [...ADAPTERS[name].labels].reverse().slice(0, 3) };
      await using alone = await TextClassifier.load(directory.path(name), { device: 'cpu', threads: 2 });
      const expected = await alone.evaluate(split);
      await using model = await load();
      await model.loadAdapter(name, directory.path(name));
      const found = await model.evaluate(split, { adapter: name });
      expect(found.metrics).to.deep.equal(expected.metrics);
      expect(found.loss).to.be.closeTo(expected.loss, 1e-5);
      if (name === 'prefix') await expectRefusal(model.evaluate(split), 'INVALID_DATA', 'no class for the labels');
    });
  }

  it('refuses adapters that are not loaded, and what is no split', async () => {
    await using model = await load();
    await expectRefusal(model.evaluate(test, { adapter: 'other' }), 'NOT_FOUND', 'none is loaded');
    await expectRefusal(model.evaluate(test, { adapter: '' }), 'INVALID_OPTION', 'adapter');
    await expectRefusal(model.evaluate(undefined), 'INVALID_OPTION', 'split is undefined');
    await expectRefusal(model.evaluate(test, { threads: 2 } as never), 'INVALID_OPTION', 'threads');
  });
});

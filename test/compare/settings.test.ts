import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { comparisonExperiments, parseMethods, settle } from '../../lib/experiments/comparison.js';
import { NOTEBOOK_REFERENCE, PRESETS } from '../../lib/experiments/presets.js';
import { lora } from '../../lib/methods/index.js';

describe('methods of a comparison', () => {
  it('are read from names', () => {
    const methods = parseMethods([
      'full',
      'linear',
      'prefix',
      'prefix-5',
      'lora4',
      'lora-32',
      'dora8',
      'bitfit',
      'logreg',
    ]);
    const names = ['full', 'linear', 'prefix20', 'prefix5', 'lora4', 'lora32', 'dora8', 'bitfit', 'logreg'];
    expect(methods.map(({ name }) => name)).to.deep.equal(names);
    expect(methods.map(({ title }) => title)).to.deep.equal([
      'full',
      'linear probing',
      'prefix tuning P=20',
      'prefix tuning P=5',
      'LoRA r=4',
      'LoRA r=32',
      'DoRA r=8',
      'BitFit',
      'logistic regression',
    ]);
    expect(methods[3]?.method).to.deep.equal({ kind: 'prefix', virtualTokens: 5, projection: true, trainHead: true });
    expect(methods[5]?.method).to.deep.equal(lora({ rank: 32, alpha: 128 }));
    expect(methods[6]?.method).to.deep.equal(lora({ rank: 8, dora: true }));
  });

  for (const names of [
    ['ia3'],
    ['bitfit2'],
    ['full4'],
    ['linear-2'],
    ['lora0'],
    ['lorax'],
    ['lora8', 'lora-8'],
    ['dora', 'dora8'],
    ['prefix-'],
  ]) {
    it(`refuses ${names.join(',')}`, () => {
      expect(() => parseMethods(names))
        .to.throw(BertuneError)
        .with.property('code', 'INVALID_OPTION');
    });
  }
});

describe('settings of a comparison', () => {
  it('quick leaves rates and epochs to what suits method, model and data', () => {
    const experiments = comparisonExperiments(PRESETS.quick, {});
    const names = ['before', 'full', 'linear', 'prefix20', 'lora4', 'lora8', 'lora16', 'lora32'];
    expect(experiments.map(({ name }) => name)).to.deep.equal(names);
    for (const { options } of experiments.slice(1)) {
      expect(options).to.deep.equal({ batchSize: 16, weightDecay: 0.01, seed: 42 });
    }
    expect(experiments[0]?.method).to.equal(null);
  });

  it('notebook takes the settings of the notebook, and has a published row for every run', () => {
    const experiments = comparisonExperiments(PRESETS.notebook, {});
    for (const { options } of experiments.slice(1)) {
      expect(options).to.include({ learningRate: 2e-5, epochs: 15, batchSize: 16, weightDecay: 0.01, seed: 42 });
    }
    expect(NOTEBOOK_REFERENCE.map(({ name }) => name)).to.deep.equal(experiments.map(({ name }) => name));
  });

  it('notebook keeps them with another model and other data', () => {
    const [, full] = comparisonExperiments(PRESETS.notebook, { model: 'my/model', data: 'my/data', methods: ['full'] });
    expect(full?.options).to.include({ learningRate: 2e-5, epochs: 15 });
  });

  it('are overridden, the rate of a kind before that of all', () => {
    const [before, full, lora] = comparisonExperiments(PRESETS.quick, {
      model: 'my/model',
      data: { train: 'a.csv', test: 'b.csv' },
      dataset: { delimiter: ';' },
      methods: ['full', 'lora2'],
      epochs: 1,
      batchSize: 4,
      weightDecay: 0,
      seed: 7,
      learningRate: 1,
      learningRates: { lora: 2 },
      where: { device: 'cpu', threads: 1 },
    });
    const common = { model: 'my/model', data: { train: 'a.csv', test: 'b.csv' }, dataset: { delimiter: ';' } };
    for (const experiment of [before, full, lora]) expect(experiment).to.deep.include(common);
    expect(full?.options).to.include({ epochs: 1, batchSize: 4, weightDecay: 0, seed: 7, learningRate: 1 });
    expect(lora?.options).to.include({ learningRate: 2 });
    expect(lora?.where).to.deep.equal({ device: 'cpu', threads: 1 });
  });

  it('are settled once: the model is a folder, local data stay as they are', async () => {
    const [before, full] = await settle(comparisonExperiments(PRESETS.quick, { methods: ['full'] }), {});
    expect(before.model).to.match(/assets.models.bert-mini$/);
    expect(before.data).to.equal('goemotions6');
    expect(full).to.include({ model: before.model, data: before.data, name: 'full' });
  });
});

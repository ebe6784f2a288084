import { readdir, readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { loadAll } from 'js-yaml';
import { Trainer } from '../../lib/api/trainer.js';
import { full, linear, lora, type Method } from '../../lib/methods/index.js';
import { isOwnCard } from '../../lib/model/card.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { ASSETS, LABELS, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const CPU = { device: 'cpu', threads: 2 } as const;

describe('model cards', () => {
  const directory = useTemporaryDirectory();
  const read = (...names: string[]) => readFile(directory.path(...names, 'README.md'), 'utf8');
  const matterOf = (card: string) => loadAll(card.split('---\n')[1]!)[0] as Record<string, unknown>;
  const [train, validation] = [tinySplit('train', 30, 1), tinySplit('validation', 20, 2)];

  async function trained(method: Method = full()) {
    await writeTinyCheckpoint(directory.path('base'));
    await writeFile(directory.path('base', 'README.md'), '---\nlicense: mit\n---\n# Base\n');
    const model = await TextClassifier.load(directory.path('base'), CPU);
    const options = { method, epochs: 1, learningRate: 3e-4, calibrate: true };
    await new Trainer(model, options).train(train, { validation });
    return model;
  }

  it('say what a model is made of, how it does, and how to load it', async () => {
    await using model = await trained();
    const evaluation = await model.evaluate(validation);
    await model.save(directory.path('mood'), { card: { dataset: 'org/moods' } });
    const card = await read('mood');
    const { 'model-index': index, ...matter } = matterOf(card);
    expect(matter).to.deep.equal({
      license: 'mit',
      library_name: 'transformers',
      pipeline_tag: 'text-classification',
      tags: ['bertune', 'text-classification', 'full'],
      datasets: ['org/moods'],
      metrics: ['accuracy', 'precision', 'recall', 'f1', 'roc_auc'],
    });
    const [{ name, results }] = index as [{ name: string; results: [Record<string, unknown>] }];
    expect(name).to.equal('base-full');
    expect(results[0].dataset).to.deep.equal({ name: 'org/moods', type: 'org/moods', split: 'validation' });
    const [accuracy] = results[0].metrics as { type: string; value: number }[];
    expect(accuracy).to.deep.include({ type: 'accuracy', value: Number(evaluation.accuracy.toFixed(6)) });
    for (const words of [
      '# base-full',
      '3e-4',
      '`base`',
      ...LABELS,
      "TextClassifier.load('MODEL')",
      'temperature',
      'pipeline(',
    ]) {
      expect(card).to.include(words);
    }
    // A path of this machine is nobody's business.
    expect(card).not.to.include(directory.path());

    const test = { evaluation: await model.evaluate(train), split: 'test', license: 'apache-2.0' };
    await model.save(directory.path('mood'), { overwrite: true, card: test });
    expect(matterOf(await read('mood')).license).to.equal('apache-2.0');
    expect(await read('mood')).to.include('On 30 texts of the test split');
    await model.save(directory.path('bare'), { card: false });
    expect(await readdir(directory.path('bare'))).not.to.include('README.md');
    const odd = model.save(directory.path('odd'), { card: { dataset: '../x' } });
    await expectRefusal(odd, 'INVALID_OPTION', 'card.dataset');
  });

  it('name the library that reads the files', async () => {
    for (const [method, library, words] of [
      [lora({ rank: 2 }), 'peft', 'PeftModel.from_pretrained'],
      [linear(), 'bertune', 'torch.nn.Sequential'],
    ] as const) {
      await using model = await trained(method);
      await model.save(directory.path(method.kind));
      expect(matterOf(await read(method.kind)).library_name).to.equal(library);
      expect(await read(method.kind)).to.include(words);
      if (method.kind !== 'lora') continue;
      await model.export(directory.path('merged'));
      expect(matterOf(await read('merged')).library_name).to.equal('transformers');
    }
    await using embedded = await TextClassifier.load(`${ASSETS}/models/bert-mini`, CPU);
    await embedded.save(directory.path('embedded'));
    expect(await read('embedded')).to.include('`bert-mini`');
    expect(matterOf(await read('embedded')))
      .to.include({ license: 'apache-2.0' })
      .and.not.to.have.property('model-index');
  });

  it('leave alone what somebody else wrote, or changed', async () => {
    await using model = await trained();
    const again = () => model.save(directory.path('mood'), { overwrite: true });
    await again();
    const first = await read('mood');
    expect(isOwnCard(first)).to.equal(true);
    expect(isOwnCard(first.replaceAll('\n', '\r\n'))).to.equal(true);
    await again();
    expect(await read('mood')).to.equal(first);
    for (const own of [first.replace('# base-full', '# My mood'), '# Mine\n', '', first.replace(/<!--.*-->/, '')]) {
      await writeFile(directory.path('mood', 'README.md'), own);
      await again();
      expect(await read('mood')).to.equal(own);
    }
  });
});

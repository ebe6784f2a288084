import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { PredictionService } from '../../lib/api/serving/service.js';
import { Trainer } from '../../lib/api/trainer.js';
import type { Split } from '../../lib/data/dataset.js';
import { full, linear, lora, prefix } from '../../lib/methods/index.js';
import { type Prediction, type PredictOptions, TextClassifier, type TextInput } from '../../lib/model/classifier.js';
import { encodeTexts } from '../../lib/model/texts.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { copyWith, expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

/** What a model and its service have in common. */
interface Predictor {
  predict(texts: string | readonly TextInput[], options?: PredictOptions): Promise<Prediction[]>;
}

describe('pairs of texts', () => {
  const directory = useTemporaryDirectory();

  /** A tiny checkpoint whose tokenizer puts BERT's template around texts. */
  async function checkpoint(): Promise<string> {
    const path = directory.path('base');
    await writeTinyCheckpoint(path);
    const tokenizer = JSON.parse(await readFile(`${path}/tokenizer.json`, 'utf8')) as Record<string, unknown>;
    tokenizer.post_processor = { type: 'BertProcessing', cls: ['[CLS]', 2], sep: ['[SEP]', 3] };
    await writeFile(`${path}/tokenizer.json`, JSON.stringify(tokenizer));
    return path;
  }

  function pairSplit(name: string, examples: number, seed: number): Split {
    const split = tinySplit(name, examples, seed);
    return { ...split, texts: split.texts.map(() => 'the day'), pairs: split.texts };
  }

  it('are trained on, measured and predicted', async () => {
    await using model = await TextClassifier.load(await checkpoint(), { device: 'cpu' });
    const trainer = new Trainer(model, { learningRate: 1e-2, epochs: 6, batchSize: 8 });
    const test = pairSplit('test', 40, 5);
    await trainer.train(pairSplit('train', 120, 3), { validation: test });
    const { accuracy } = await trainer.evaluate(test);
    // What tells the classes apart is in the second text alone.
    expect(accuracy).to.be.above(0.8);
    const inputs = test.texts.map((text, i): TextInput => [text, test.pairs![i]!]);
    const right = (await model.predict(inputs)).filter(({ label }, i) => label === model.labels[test.labels[i]!]);
    expect(right.length / 40).to.equal(accuracy);
  });

  it('reach the model with their segments', async () => {
    await using model = await TextClassifier.load(await checkpoint(), { device: 'cpu' });
    const { logits } = await model.logits([['good', 'bad']]);
    const encoded = await encodeTexts(model, { texts: ['good'], pairs: ['bad'] }, 64);
    expect([...encoded.typeIds!]).to.deep.equal([0, 0, 0, 1, 1]);
    expect((await model.forward(encoded, 64)).logits).to.deep.equal(logits);
    const { typeIds: _, ...without } = encoded;
    expect((await model.forward(without, 64)).logits).to.not.deep.equal(logits);
  });

  it('are refused where they are none, or the model has one token type', async () => {
    const path = await checkpoint();
    await using model = await TextClassifier.load(path, { device: 'cpu' });
    for (const inputs of [[['a']], [['a', 5]], [['a', 'b'], 'c'], ['a', ['b', 'c']]]) {
      await expectRefusal(model.predict(inputs as TextInput[]), 'INVALID_OPTION', /a pair of strings|a string for/);
    }
    const split = pairSplit('train', 4, 1);
    const trainer = new Trainer(model, {});
    await expectRefusal(trainer.evaluate({ ...split, pairs: ['a'] }), 'INVALID_OPTION', 'split.pairs');
    await copyWith(path, directory.path('one'), 'config.json', (config) => {
      config.type_vocab_size = 1;
    });
    // The table of token types in the file has two rows.
    await expectRefusal(TextClassifier.load(directory.path('one'), { device: 'cpu' }), 'SHAPE_MISMATCH');
    const one = { tokenizer: model.tokenizer, config: { ...model.config, typeVocabSize: 1 } };
    await expectRefusal(encodeTexts(one, { texts: ['a'], pairs: ['b'] }, 64), 'INVALID_OPTION', '1 token type');
    await encodeTexts(one, { texts: ['a'] }, 64);
  });

  describe('are remembered', () => {
    const METHODS = { full: full(), linear: linear(), lora: lora({ rank: 2 }), prefix: prefix({ virtualTokens: 2 }) };
    const single = 'good day';
    const pair: TextInput[] = [['the day', 'good']];

    async function trained(method: keyof typeof METHODS, split: Split, options: TrainerOptions = {}) {
      const model = await TextClassifier.load(await checkpoint(), { device: 'cpu', head: 'new' });
      expect(model.pairs).to.equal(null);
      await new Trainer(model, {
        method: METHODS[method],
        maxSteps: 1,
        ...options,
      }).train(split);
      return model;
    }

    for (const method of ['full', 'linear', 'lora', 'prefix'] as const) {
      it(`by what ${method} saves`, async () => {
        const checkpoints = directory.path('run');
        await using model = await trained(method, pairSplit('train', 8, 3), {
          outputDirectory: checkpoints,
          saveStrategy: 'epoch',
        });
        await model.save(directory.path('saved'));
        for (const path of [directory.path('saved'), `${checkpoints}/checkpoint-1`]) {
          await using loaded = await TextClassifier.load(path, { device: 'cpu' });
          expect(loaded.pairs).to.equal(true);
          await expectRefusal(loaded.predict(single), 'INVALID_DATA', 'The model was trained on pairs of texts');
          await expectRefusal(loaded.logits([single]), 'INVALID_DATA', 'pairs of texts');
          expect(await loaded.predict(pair)).to.deep.equal(await model.predict(pair));
          expect(await loaded.predict([])).to.deep.equal([]);
          expect(await loaded.predict(single, { textKind: 'any' })).to.have.lengthOf(1);
        }
        await using others = await trained(method, tinySplit('train', 8, 3));
        await others.save(directory.path('singles'));
        await using loaded = await TextClassifier.load(directory.path('singles'), { device: 'cpu' });
        expect(loaded.pairs).to.equal(false);
        await expectRefusal(loaded.predict(pair), 'INVALID_DATA', 'trained on single texts but received pairs');
        expect(await loaded.predict(single)).to.have.lengthOf(1);
        await using begun = await TextClassifier.load(directory.path('singles'), { device: 'cpu', head: 'new' });
        expect(begun.pairs).to.equal(null);
      });
    }

    it('by each adapter beside a model, and by services', async () => {
      for (const method of ['lora', 'prefix'] as const) {
        await using model = await trained(method, pairSplit('train', 8, 3));
        await model.save(directory.path(method));
      }
      await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
      await using service = new PredictionService(model);
      for (const adapter of ['lora', 'prefix']) {
        expect(await model.loadAdapter(adapter, directory.path(adapter))).to.include({ pairs: true });
        for (const it of [model, service] as Predictor[]) {
          const refused = it.predict([single, single], { adapter: [null, adapter] });
          await expectRefusal(refused, 'INVALID_DATA', `The adapter "${adapter}" was trained on pairs of texts`);
          expect(await it.predict([single, single], { adapter: [null, adapter], textKind: 'any' })).to.have.lengthOf(2);
          expect(await it.predict(pair, { adapter })).to.have.lengthOf(1);
          expect(await it.predict(single)).to.have.lengthOf(1);
        }
      }
      expect(model.adapters.map(({ pairs }) => pairs)).to.deep.equal([true, true]);
      await using own = await TextClassifier.load(directory.path('lora'), { device: 'cpu' });
      await using other = new PredictionService(own);
      await expectRefusal(other.predict(single), 'INVALID_DATA', 'The model was trained on pairs of texts');
    });

    it('by merged models and exports, until the model is trained anew', async () => {
      await using model = await trained('lora', pairSplit('train', 8, 3));
      await model.merge();
      expect(model.pairs).to.equal(true);
      await model.export(directory.path('exported'));
      await using exported = await TextClassifier.load(directory.path('exported'), { device: 'cpu' });
      expect(exported.pairs).to.equal(true);
      await new Trainer(exported, { maxSteps: 1 }).train(tinySplit('train', 8, 3));
      expect(exported.pairs).to.equal(false);
    });

    it('by evaluation, and within one training', async () => {
      await using model = await trained('full', pairSplit('train', 8, 3));
      const trainer = new Trainer(model, { maxSteps: 1 });
      const test = tinySplit('test', 8, 4);
      await expectRefusal(trainer.evaluate(test), 'INVALID_DATA', 'received single texts');
      expect(await trainer.evaluate(test, { textKind: 'any' })).to.include({ examples: 8 });
      const mixed = trainer.train(pairSplit('train', 8, 3), { validation: test });
      await expectRefusal(mixed, 'INVALID_DATA', 'Expected pairs of texts in validation, as in train');
    });

    it('by files that say so in one way alone', async () => {
      const path = await checkpoint();
      await copyWith(path, directory.path('odd'), 'config.json', (config) => {
        config.bertune = { pairs: 'yes' };
      });
      await expectRefusal(TextClassifier.load(directory.path('odd'), { device: 'cpu' }), 'CHECKPOINT_INVALID', 'pairs');
      await copyWith(path, directory.path('foreign'), 'config.json', (config) => {
        config.bertune = 'somebody else';
      });
      await using model = await TextClassifier.load(directory.path('foreign'), { device: 'cpu' });
      expect(model.pairs).to.equal(null);
      expect(await model.predict(pair)).to.have.lengthOf(1);
    });
  });
});

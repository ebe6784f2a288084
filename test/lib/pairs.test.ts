import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { modelOf, TextClassifier, type TextInput } from '../../lib/classifier.js';
import type { Split } from '../../lib/dataset.js';
import { Trainer } from '../../lib/trainer.js';
import { copyWith, expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

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
    const encoded = await modelOf(model).encode({ texts: ['good'], pairs: ['bad'] }, 64);
    expect([...encoded.typeIds!]).to.deep.equal([0, 0, 0, 1, 1]);
    expect(await modelOf(model).forward(encoded, 64)).to.deep.equal(logits);
    const { typeIds: _, ...without } = encoded;
    expect(await modelOf(model).forward(without, 64)).to.not.deep.equal(logits);
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
    Object.assign(modelOf(model).config, { typeVocabSize: 1 });
    await expectRefusal(model.predict([['a', 'b']]), 'INVALID_OPTION', '1 token type');
    await model.predict(['a']);
  });
});

import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { readSafetensors, writeSafetensors } from '../../lib/formats/safetensors.js';
import { toFloat32 } from '../../lib/formats/tensor.js';
import { full, linear, lora, type Method, prefix } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { LABELS, randomNumbers, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const TEXTS = ['we went home', '', 'a good day with a friend', 'never', 'the day was here and the day was bad'];
const CPU = { device: 'cpu', threads: 2 } as const;

describe('TextClassifier', () => {
  const directory = useTemporaryDirectory();
  const base = () => directory.path('base');
  const load = () => TextClassifier.load(base(), CPU);

  beforeEach(async () => {
    await writeTinyCheckpoint(base());
  });

  describe('predict', () => {
    it('gives each text a label and the probability of every label', async () => {
      await using model = await load();
      const predictions = await model.predict(TEXTS);
      expect(predictions).to.have.length(TEXTS.length);
      for (const { label, score, scores } of predictions) {
        expect(Object.keys(scores)).to.deep.equal(LABELS);
        expect(Object.values(scores).reduce((a, b) => a + b, 0)).to.be.closeTo(1, 1e-12);
        expect(score).to.equal(Math.max(...Object.values(scores)));
        expect(scores[label]).to.equal(score);
      }
    });

    it('keeps the order of the texts, whatever their lengths', async () => {
      await using model = await load();
      const together = await model.predict(TEXTS);
      for (const [i, text] of TEXTS.entries()) {
        const [alone] = await model.predict(text);
        for (const label of LABELS) expect(together[i]!.scores[label]).to.be.closeTo(alone!.scores[label]!, 1e-6);
      }
      const batched = await model.predict(TEXTS, { batchTokens: 1 });
      batched.forEach(({ score }, i) => {
        expect(score).to.be.closeTo(together[i]!.score, 1e-6);
      });
    });

    it('cuts texts that are longer than the model', async () => {
      await using model = await load();
      // The embedded tokenizer puts nothing around a text, so that each word is a token and each token a word.
      const long = 'good '.repeat(500);
      const [whole] = await model.predict(long);
      const [cut] = await model.predict('good '.repeat(64));
      expect(whole).to.deep.equal(cut);
      const [short] = await model.predict(long, { maxLength: 5 });
      expect(short).to.deep.equal((await model.predict('good '.repeat(5)))[0]);
    });

    it('takes no texts for no predictions', async () => {
      await using model = await load();
      expect(await model.predict([])).to.deep.equal([]);
    });

    it('overlaps with itself', async () => {
      await using model = await load();
      const alone = await model.predict(TEXTS);
      const all = await Promise.all(Array.from({ length: 20 }, () => model.predict(TEXTS)));
      for (const predictions of all) expect(predictions).to.deep.equal(alone);
    });

    it('gives the same bits again', async () => {
      const texts = tinySplit('texts', 300, 5).texts;
      const logits = async () => {
        await using model = await load();
        return (await model.logits(texts, { batchTokens: 100 })).logits;
      };
      expect(await logits()).to.deep.equal(await logits());
    });

    it('computes in double when asked to', async () => {
      await using single = await load();
      await using double = await TextClassifier.load(base(), { ...CPU, precision: 'fp64' });
      const { logits } = await double.logits(TEXTS);
      expect(logits).to.be.instanceOf(Float64Array);
      const close = (await single.logits(TEXTS)).logits;
      logits.forEach((value, i) => {
        expect(value).to.be.closeTo(close[i]!, 1e-5);
      });
      expect([...logits].some((value, i) => value !== close[i])).to.equal(true);
    });

    it('refuses what is no text, and misspelt options', async () => {
      await using model = await load();
      const bad = ['fine', 3] as unknown as string[];
      await expectRefusal(model.predict(bad), 'INVALID_OPTION', 'Expected a string for texts[1] but received 3');
      await expectRefusal(model.predict(null as unknown as string), 'INVALID_OPTION', 'texts');
      await expectRefusal(model.predict('a', { batchToken: 3 } as object), 'INVALID_OPTION', 'batchTokens');
      await expectRefusal(model.predict('a', { batchTokens: 0 }), 'INVALID_OPTION', 'batchTokens');
      await expectRefusal(model.predict('a', { maxLength: 65 }), 'INVALID_OPTION', /from 1 to 64/);
      await expectRefusal(model.predict('a', { maxLength: 0 }), 'INVALID_OPTION', 'maxLength');
    });

    it('stops at an AbortSignal, before and during the work', async () => {
      await using model = await load();
      const reason = new Error('enough');
      const error = await expectRefusal(model.predict('a', { signal: AbortSignal.abort(reason) }), 'ABORTED');
      expect(error.cause).to.equal(reason);
      const controller = new AbortController();
      const texts = new Array<string>(200_000).fill('a good day');
      const work = model.predict(texts, { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 20);
      expect((await expectRefusal(work, 'ABORTED')).cause).to.equal(reason);
      expect(await model.predict('a')).to.have.length(1);
    });

    it('refuses to work once disposed, and finishes what had begun', async () => {
      const model = await load();
      const begun = model.predict(TEXTS);
      await new Promise((resolve) => setTimeout(resolve, 5));
      const disposed = model.dispose();
      expect(await begun).to.have.length(TEXTS.length);
      await disposed;
      await model.dispose();
      await expectRefusal(model.predict('a'), 'DISPOSED');
      await expectRefusal(() => model.memory(), 'DISPOSED');
      await expectRefusal(model.save(directory.path('out')), 'DISPOSED');
      await expectRefusal(() => new Trainer(model), 'DISPOSED');
    });
  });

  describe('load', () => {
    it('tells what it has loaded', async () => {
      await using model = await load();
      expect(model.labels).to.deep.equal(LABELS);
      expect(model.device).to.equal('cpu');
      expect(model.precision).to.equal('fp32');
      expect(model.threads).to.equal(2);
      expect(model.method).to.equal(null);
      expect(model.maxLength).to.equal(64);
      expect(model.notes).to.deep.equal([]);
      expect(model.countParameters().trainable).to.equal(0);
      const { parameters, gradients, optimizer, peak, processPeak } = model.memory();
      expect(parameters).to.be.at.least(4 * model.countParameters().total);
      expect(gradients + optimizer).to.equal(0);
      expect(peak).to.be.at.least(parameters);
      expect(processPeak).to.be.greaterThan(peak);
    });

    it('makes a new classifier where it is asked for, by the seed', async () => {
      const loaded = async (seed: number) => {
        const options = { labels: ['a', 'b', 'c', 'd'], head: 'new', seed } as const;
        await using model = await TextClassifier.load(base(), { ...CPU, ...options });
        expect(model.notes.join()).to.match(/classifier is new/);
        expect(model.labels).to.deep.equal(['a', 'b', 'c', 'd']);
        expect(await model.parameter('classifier.bias')).to.deep.equal(new Float32Array(4));
        return await model.parameter('classifier.weight');
      };
      const weight = await loaded(1);
      expect(weight).to.deep.equal(await loaded(1));
      expect(weight).to.not.deep.equal(await loaded(2));
      const deviation = Math.sqrt([...weight].reduce((sum, value) => sum + value * value, 0) / weight.length);
      expect(deviation).to.be.closeTo(0.02, 0.004);
    });

    it('says that the pooler and the classifier are new', async () => {
      await writeTinyCheckpoint(directory.path('bare'), { classifier: false, pooler: false });
      await using model = await TextClassifier.load(directory.path('bare'), CPU);
      expect(model.notes.join())
        .to.match(/classifier is new/)
        .and.match(/pooler is new/i);
    });

    for (const dtype of ['F16', 'BF16'] as const) {
      it(`widens ${dtype} to the last bit`, async () => {
        const file = directory.path('base', 'model.safetensors');
        const { tensors } = await readSafetensors(file);
        const random = randomNumbers(5);
        const infinite = dtype === 'F16' ? 0x7c00 : 0x7f80;
        const words = Uint16Array.from({ length: 96 }, () => {
          const word = Math.floor(random() * 0x10000);
          return (word & infinite) === infinite ? 0x3c00 : word;
        });
        const tensor = { dtype, shape: [3, 32], data: new Uint8Array(words.buffer) };
        await writeSafetensors(file, new Map([...tensors, ['classifier.weight', tensor]]));
        await using model = await load();
        expect(await model.parameter('classifier.weight')).to.deep.equal(toFloat32(tensor));
      });
    }

    it('refuses what cannot be loaded', async () => {
      await expectRefusal(TextClassifier.load(directory.path('nowhere'), CPU), 'NOT_FOUND', 'nowhere');
      await expectRefusal(TextClassifier.load('', CPU), 'INVALID_OPTION', 'source');
      await expectRefusal(TextClassifier.load(base(), { ...CPU, label: [] } as object), 'INVALID_OPTION', 'labels');
      await expectRefusal(TextClassifier.load(base(), { ...CPU, labels: ['a', 'a'] }), 'INVALID_OPTION', 'labels');
      await expectRefusal(TextClassifier.load(base(), { ...CPU, base: 'x' }), 'INVALID_OPTION', 'base');
      await expectRefusal(TextClassifier.load(base(), { ...CPU, adapter: base() }), 'NOT_FOUND', 'adapter_config.json');
    });

    it('refuses a tokenizer with more word pieces than the model', async () => {
      const path = directory.path('base', 'config.json');
      const config = JSON.parse(await readFile(path, 'utf8'));
      await writeTinyCheckpoint(directory.path('small'));
      await writeFile(directory.path('small', 'config.json'), JSON.stringify({ ...config, vocab_size: 8000 }));
      await expectRefusal(TextClassifier.load(directory.path('small'), CPU), 'SHAPE_MISMATCH', 'word_embeddings');
    });
  });

  describe('save', () => {
    const METHODS: Record<string, Method | null> = {
      'a plain model': null,
      full: full(),
      linear: linear(),
      'prefix with projection': prefix({ virtualTokens: 3 }),
      'prefix without projection': prefix({ virtualTokens: 3, projection: false }),
      lora: lora({ rank: 2 }),
      'lora on every Linear': lora({ rank: 2, alpha: 3, targets: ['all-linear'] }),
    };

    for (const [name, method] of Object.entries(METHODS)) {
      it(`and load give back the same bits: ${name}`, async () => {
        const out = directory.path('out');
        await using model = await load();
        if (method) {
          const trainer = new Trainer(model, { method, epochs: 1, batchSize: 4, learningRate: 1e-2 });
          await trainer.train(tinySplit('train', 24, 3));
        }
        const { logits } = await model.logits(TEXTS);
        await model.save(out);
        await using again = await TextClassifier.load(out, CPU);
        expect(again.labels).to.deep.equal(LABELS);
        expect((await again.logits(TEXTS)).logits).to.deep.equal(logits);
        const adapted = method?.kind === 'prefix' || method?.kind === 'lora';
        expect(again.method?.kind).to.equal(adapted ? method.kind : undefined);

        await again.save(directory.path('twice'));
        await using third = await TextClassifier.load(directory.path('twice'), CPU);
        expect((await third.logits(TEXTS)).logits).to.deep.equal(logits);
      });
    }

    it('keeps an adapter and its base apart, to be put together by `adapter` or `base`', async () => {
      await using model = await load();
      await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 4, learningRate: 1e-2 }).train(
        tinySplit('train', 24, 3),
      );
      const { logits } = await model.logits(TEXTS);
      const out = directory.path('out');
      await model.save(out);
      await using over = await TextClassifier.load(base(), { ...CPU, adapter: out });
      await using under = await TextClassifier.load(out, { ...CPU, base: base() });
      expect((await over.logits(TEXTS)).logits).to.deep.equal(logits);
      expect((await under.logits(TEXTS)).logits).to.deep.equal(logits);
      expect(over.method).to.deep.equal(lora({ rank: 2, targets: ['query', 'value'] }));
    });

    it('saves the base beside the adapter when it is not the one it was loaded from', async () => {
      const bare = directory.path('bare');
      await writeTinyCheckpoint(bare, { pooler: false });
      const out = directory.path('out');
      await using model = await TextClassifier.load(bare, { ...CPU, seed: 1 });
      await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 4 }).train(tinySplit('train', 24, 3));
      await model.save(out);
      const { logits } = await model.logits(TEXTS);
      await using again = await TextClassifier.load(out, { ...CPU, seed: 2 });
      expect((await again.logits(TEXTS)).logits).to.deep.equal(logits);

      const moved = directory.path('moved');
      await rename(out, moved);
      await using elsewhere = await TextClassifier.load(moved, { ...CPU, seed: 3 });
      expect((await elsewhere.logits(TEXTS)).logits).to.deep.equal(logits);
    });

    it('keeps the base beside the adapter apart from that of a copy, and of another of its name', async () => {
      await writeTinyCheckpoint(directory.path('bare'), { pooler: false });
      const out = directory.path('out');
      const copy = directory.path('copy');
      const later = directory.path('later');
      const train = async (from: string, to: string, seed: number) => {
        await using model = await TextClassifier.load(from, { ...CPU, seed });
        await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 2 }).train(tinySplit('train', 24, 3));
        await model.save(to, { overwrite: true });
        return (await model.logits(TEXTS)).logits;
      };
      const read = async (from: string) => {
        await using model = await TextClassifier.load(from, CPU);
        return (await model.logits(TEXTS)).logits;
      };
      const first = await train(directory.path('bare'), out, 1);
      await cp(out, copy, { recursive: true });
      const onCopy = await train(copy, later, 3);
      await train(directory.path('bare'), out, 2);
      expect(await read(copy)).to.deep.equal(first);
      expect(await read(later)).to.deep.equal(onCopy);

      const again = await train(out, out, 4);
      expect(await read(out)).to.deep.equal(again);
      // Its base is called base too, and is not that of the save before.
      const onOther = await train(base(), out, 5);
      expect(await read(out)).to.deep.equal(onOther);
      await rm(out, { recursive: true });
      expect(await read(copy)).to.deep.equal(first);
    });

    it('says where it looked for a base that is not there', async () => {
      await using model = await load();
      await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 1 }).train(tinySplit('train', 24, 3));
      await model.save(directory.path('out'));
      await rename(base(), directory.path('elsewhere'));
      await expectRefusal(TextClassifier.load(directory.path('out'), CPU), 'NOT_FOUND', base(), 'with base');
    });

    it('is finished when the model is disposed meanwhile', async () => {
      const model = await load();
      const { logits } = await model.logits(TEXTS);
      const saving = model.save(directory.path('out'));
      await model.dispose();
      await saving;
      await using again = await TextClassifier.load(directory.path('out'), CPU);
      expect((await again.logits(TEXTS)).logits).to.deep.equal(logits);
    });

    it('refuses a directory that is not empty, unless told to overwrite', async () => {
      const out = directory.path('out');
      await using model = await load();
      await model.save(out);
      await expectRefusal(model.save(out), 'OUTPUT_REFUSED', 'not empty');
      await new Trainer(model, { method: lora({ rank: 2 }), maxSteps: 1 }).train(tinySplit('train', 24, 3));
      await model.save(out, { overwrite: true });
      await using adapted = await TextClassifier.load(out, CPU);
      expect(adapted.method?.kind).to.equal('lora');
    });

    it('leaves no adapter behind where a checkpoint is saved over it', async () => {
      const out = directory.path('out');
      await using adapted = await load();
      await new Trainer(adapted, { method: lora({ rank: 2 }), maxSteps: 1 }).train(tinySplit('train', 24, 3));
      await adapted.save(out);
      await using plain = await load();
      await plain.save(out, { overwrite: true });
      await using again = await TextClassifier.load(out, CPU);
      expect(again.method).to.equal(null);
      expect((await again.logits(TEXTS)).logits).to.deep.equal((await plain.logits(TEXTS)).logits);
    });
  });
});

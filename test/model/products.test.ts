import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import {
  type FullMethod,
  full,
  type LoraMethod,
  loadDataset,
  lora,
  type Precision,
  TextClassifier,
  Trainer,
} from '../../lib/index.js';
import { devices } from '../devices.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';

/*
 * What becomes of the embedded model where products with weights are made in the ways that the CPU has: from weights as
 * they are while they train, from weights laid out for it afterwards, and in bf16 and int8.
 */

const MODEL = 'assets/models/bert-mini';
const has = (precision: Precision) =>
  devices().some(({ device, precisions }) => device === 'cpu' && precisions.includes(precision));

describe('the embedded model on the CPU', () => {
  const directory = useTemporaryDirectory();
  /** A few rows: the collector goes through all that is kept, again and again. */
  const data = loadDataset('assets/data/goemotions6').then(({ labels, train, test }) => ({
    labels,
    train: { ...train, texts: train.texts.slice(0, 128), labels: train.labels.slice(0, 128) },
    texts: test!.texts.slice(0, 100),
  }));

  const load = async (model: string, precision: Precision, threads = 2) =>
    TextClassifier.load(model, { labels: (await data).labels, device: 'cpu', threads, precision });
  const texts = async (count: number) => (await data).texts.slice(0, count);
  const train = async (model: TextClassifier, method: FullMethod | LoraMethod = full(), maxSteps = 8) => {
    const { train } = await data;
    const trainer = new Trainer(model, { method, maxSteps, learningRate: 3e-4, loggingSteps: 1, seed: 7 });
    const { logHistory } = await trainer.train(train);
    return logHistory.flatMap((row) => ('loss' in row ? [row.loss] : []));
  };

  for (const precision of ['fp32', 'bf16', 'int8'] as const) {
    it(`gives the same bits again, and loaded anew, in ${precision}`, async function () {
      if (!has(precision)) this.skip();
      const path = directory.path(precision);
      await using model = await load(MODEL, precision === 'int8' ? 'fp32' : precision);
      await train(model, full(), 2);
      const many = await texts(64);
      const first = await model.logits(many);
      if (precision !== 'int8') expect(await model.logits(many)).to.deep.equal(first);
      await model.save(path);
      await using again = await load(path, precision);
      const anew = await again.logits(many);
      if (precision !== 'int8') expect(anew).to.deep.equal(first);
      expect(await again.logits(many)).to.deep.equal(anew);
    });
  }

  for (const threads of [1, 3]) {
    it(`gives any number of texts the same bits, first and again, on ${threads} threads`, async () => {
      await using model = await load(MODEL, 'fp32', threads);
      const some = await texts(40);
      // Rows of the products: tokens of a text, and one a text. Each is first met with weights as training left them.
      for (const count of [40, 9, 4, 3, 1]) {
        await train(model, full(), 1);
        const { logits } = await model.logits(some.slice(0, count));
        expect((await model.logits(some.slice(0, count))).logits, `${count} texts again`).to.deep.equal(logits);
      }
    });
  }

  for (const method of [full(), lora({ rank: 8 })]) {
    it(`learns in bf16 as in fp32: ${method.kind}`, async function () {
      if (!has('bf16')) this.skip();
      await using single = await load(MODEL, 'fp32');
      await using half = await load(MODEL, 'bf16');
      const expected = await train(single, method);
      const found = await train(half, method);
      expect(found.length).to.equal(expected.length).and.above(4);
      found.forEach((loss, i) => {
        expect(loss, `loss ${i}`).to.be.closeTo(expected[i]!, 0.02);
      });
      expect(found).to.not.deep.equal(expected);
    });
  }

  for (const [name, method] of [
    ['full', full()],
    ['DoRA', lora({ dora: true, targets: ['all-linear'] })],
  ] as const) {
    it(`predicts in int8 nearly as in fp32, and does not train: ${name}`, async function () {
      if (!has('int8')) this.skip();
      const path = directory.path('trained');
      await using model = await load(MODEL, 'fp32');
      await train(model, method);
      await model.save(path);
      await using bytes = await load(path, 'int8');
      const some = await texts(100);
      const [expected, found] = [await model.logits(some), await bytes.logits(some)];
      const largest = Math.max(...expected.logits.map(Math.abs));
      expected.logits.forEach((x, i) => {
        expect(found.logits[i], `logit ${i}`).to.be.closeTo(x, 0.05 * largest);
      });
      await expectRefusal(() => new Trainer(bytes), 'INVALID_OPTION', /int8 predicts/);
      if (name !== 'DoRA') return;
      await using base = await load(MODEL, 'int8');
      await expectRefusal(base.loadAdapter('dora', path), 'INVALID_OPTION', /int8 does not keep the weights/);
    });
  }

  // The embedded model's largest weights are its 24 products'; the rest are embeddings.
  for (const [precision, most] of [
    ['fp32', 1.02],
    ['int8', 0.6],
  ] as const) {
    it(`holds a weight once, in ${precision}`, async function () {
      if (!has(precision)) this.skip();
      await using model = await load(MODEL, precision);
      const { parameters: whole } = model.memory();
      const one = await texts(1);
      const first = await model.logits(one);
      const { parameters, workspace } = model.memory();
      expect(parameters).to.be.below(0.5 * whole);
      expect(parameters + workspace)
        .to.be.below(most * whole)
        .and.above(parameters);
      // Of many tokens: from the weights laid out, which nothing has to be laid out again for.
      await model.logits(await texts(64));
      expect(model.memory().workspace).to.equal(workspace);
      expect(await model.logits(one)).to.deep.equal(first);
    });
  }

  for (const precision of ['fp32', 'int8'] as const) {
    it(`shares a weight among products of other sizes, in ${precision}`, async function () {
      if (!has(precision)) this.skip();
      await using asked = await load(MODEL, precision);
      await using other = await load(MODEL, precision);
      // A prediction multiplies the last layer's queries alone, hidden states all three projections together.
      const [ids, offsets, order] = [Int32Array.of(2, 45, 500, 3), Int32Array.of(0, 4), Int32Array.of(0)];
      const states = (model: TextClassifier) =>
        model.session.use(async (native) => native.hiddenStates(await native.addDataset({ ids, offsets }), order));
      const one = await texts(1);
      const logits = await asked.logits(one);
      const found = await states(asked);
      expect(found).to.deep.equal(await states(other));
      expect(await other.logits(one)).to.deep.equal(logits);
      expect(await asked.logits(one)).to.deep.equal(logits);
    });
  }

  it('reads, saves and trains weights that were laid out as if they had not been', async () => {
    const paths = [directory.path('asked'), directory.path('not-asked')] as const;
    await using asked = await load(MODEL, 'fp32');
    await using other = await load(MODEL, 'fp32');
    await asked.logits(await texts(1));
    await asked.save(paths[0]);
    await other.save(paths[1]);
    const [saved, expected] = await Promise.all(paths.map((path) => readFile(`${path}/model.safetensors`)));
    expect(saved!.equals(expected!)).to.equal(true);
    for (let run = 0; run < 2; run++) {
      await asked.logits(await texts(1));
      expect(await train(asked, full(), 2)).to.deep.equal(await train(other, full(), 2));
    }
    const some = await texts(20);
    expect(await asked.logits(some)).to.deep.equal(await other.logits(some));
  });

  it('refuses to save, export and merge a model in int8', async function () {
    if (!has('int8')) this.skip();
    const path = directory.path('adapter');
    await using model = await load(MODEL, 'fp32');
    await train(model, lora({ rank: 4 }), 1);
    await model.save(path);
    await using bytes = await load(path, 'int8');
    const target = directory.path('nothing');
    for (const work of [() => bytes.save(target), () => bytes.export(target), () => bytes.merge()]) {
      await expectRefusal(work, 'INVALID_OPTION', /int8 does not keep its weights; load it with/);
    }
    expect(existsSync(target)).to.equal(false);
  });
});

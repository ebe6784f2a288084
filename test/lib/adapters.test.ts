import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import type { ModelConfig } from '../../lib/architectures/index.js';
import { readSafetensors, writeSafetensors } from '../../lib/formats/safetensors.js';
import { full, lora } from '../../lib/methods/index.js';
import { groupedLongestFirst, packBatches } from '../../lib/model/batches.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { Device, Precision } from '../../lib/model/device.js';
import { devices } from '../devices.js';
import { expectRefusal, fixture, useTemporaryDirectory } from './files.js';
import { ADAPTERS, writeTinyAdapter } from './tiny-adapters.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const CPU = { device: 'cpu', threads: 2 } as const;
const NAMES = Object.keys(ADAPTERS) as (keyof typeof ADAPTERS)[];

/** Texts, each given to the model and to every adapter, in no order. */
function mixed(texts: readonly string[], names: readonly (string | null)[]) {
  const pairs = texts.flatMap((text, i) =>
    names.map((_, j) => ({ text, adapter: names[(i * 7 + j * 3) % names.length]! })),
  );
  return { texts: pairs.map(({ text }) => text), adapter: pairs.map(({ adapter }) => adapter) };
}

describe('adapters beside a model', () => {
  const directory = useTemporaryDirectory();
  const base = () => directory.path('base');
  const load = (options = {}) => TextClassifier.load(base(), { ...CPU, ...options });
  let config: ModelConfig;

  beforeEach(async () => {
    config = await writeTinyCheckpoint(base());
    for (const name of NAMES) await writeTinyAdapter(directory.path(name), base(), config, ADAPTERS[name]);
  });

  const loadAll = async (model: TextClassifier) => {
    for (const name of NAMES) await model.loadAdapter(name, directory.path(name));
  };

  describe('predict', () => {
    const { texts } = tinySplit('texts', 40, 3);
    const places: [Device, Precision, number][] = devices().flatMap(({ device, precisions }) =>
      precisions
        .filter((precision) => precision === 'fp32' || precision === 'fp64')
        .map((precision): [Device, Precision, number] => [
          device as Device,
          precision,
          precision === 'fp64' ? 1e-10 : 1e-5,
        ]),
    );
    for (const [device, precision, tolerance] of places) {
      it(`gives each text what its adapter alone gives it, on ${device} in ${precision}`, async () => {
        const some = device === 'cpu' ? texts : texts.slice(0, 8);
        const where = { device, precision, threads: 2 };
        await using model = await TextClassifier.load(base(), where);
        await loadAll(model);
        const batch = mixed(some, [null, ...NAMES]);
        const together = await model.predict(batch.texts, { adapter: batch.adapter, batchTokens: 150 });
        for (const name of [null, ...NAMES]) {
          await using alone = await TextClassifier.load(name === null ? base() : directory.path(name), where);
          const own = batch.texts.filter((_, i) => batch.adapter[i] === name);
          const expected = await alone.predict(own);
          const found = together.filter((_, i) => batch.adapter[i] === name);
          for (const [i, { label, scores }] of expected.entries()) {
            expect(Object.keys(found[i]!.scores)).to.deep.equal(Object.keys(scores));
            expect(found[i]!.label, `${name}, text ${i}`).to.equal(label);
            for (const [key, score] of Object.entries(scores)) {
              expect(found[i]!.scores[key], `${name}, text ${i}, ${key}`).to.be.closeTo(score, tolerance);
            }
          }
        }
      }).timeout(120_000);
    }

    it('gives the same whatever the order and the size of the batches', async () => {
      await using model = await load({ precision: 'fp64' });
      await loadAll(model);
      const batch = mixed(texts, [null, ...NAMES]);
      const expected = await model.predict(batch.texts, { adapter: batch.adapter });
      for (const batchTokens of [1, 64, 4096]) {
        const back = { texts: [...batch.texts].reverse(), adapter: [...batch.adapter].reverse() };
        const found = (await model.predict(back.texts, { adapter: back.adapter, batchTokens })).reverse();
        for (const [i, { score, label }] of expected.entries()) {
          expect(found[i]!.label).to.equal(label);
          expect(found[i]!.score).to.be.closeTo(score, 1e-12);
        }
      }
    });

    it('takes one adapter for all texts, and one text', async () => {
      await using model = await load();
      await loadAll(model);
      const [one] = await model.predict('a good day', { adapter: 'topics' });
      const all = await model.predict(['never', 'a good day'], { adapter: 'topics' });
      expect(Object.keys(one!.scores)).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
      expect(all[1]!.score).to.be.closeTo(one!.score, 1e-6);
      expect(await model.predict([], { adapter: 'topics' })).to.deep.equal([]);
      expect(await model.predict([], { adapter: [] })).to.deep.equal([]);
    });

    it('leaves the model as it was', async () => {
      await using model = await load();
      const before = await model.logits(texts);
      await loadAll(model);
      await model.predict(texts, { adapter: 'dense' });
      expect(await model.logits(texts)).to.deep.equal(before);
      expect(await model.logits(texts, { adapter: null })).to.deep.equal(before);
    });

    it('cuts a text to what its own adapter takes', async () => {
      await using model = await load({ precision: 'fp64' });
      await loadAll(model);
      const long = 'good '.repeat(200);
      const adapter = ['prefix', 'polite', null];
      const found = await model.predict([long, long, long], { adapter });
      for (const [i, name] of adapter.entries()) {
        await using alone = await TextClassifier.load(name ? directory.path(name) : base(), {
          ...CPU,
          precision: 'fp64',
        });
        expect(found[i]!.score).to.be.closeTo((await alone.predict(long))[0]!.score, 1e-12);
      }
      await model.predict(long, { adapter: 'polite', maxLength: 64 });
      await expectRefusal(model.predict(long, { adapter: 'prefix', maxLength: 64 }), 'INVALID_OPTION', 'from 1 to 59');
    });

    it('works beside an adapter that the model was loaded with', async () => {
      for (const own of ['dense', 'prefix'] as const) {
        await using model = await TextClassifier.load(directory.path(own), { ...CPU, precision: 'fp64' });
        await loadAll(model);
        const batch = mixed(texts.slice(0, 12), [null, ...NAMES]);
        const found = await model.predict(batch.texts, { adapter: batch.adapter });
        for (const name of [null, ...NAMES]) {
          const folder = directory.path(name ?? own);
          await using alone = await TextClassifier.load(folder, { ...CPU, precision: 'fp64' });
          const expected = await alone.predict(batch.texts.filter((_, i) => batch.adapter[i] === name));
          const scores = found.filter((_, i) => batch.adapter[i] === name).map(({ score }) => score);
          for (const [i, { score }] of expected.entries()) expect(scores[i]).to.be.closeTo(score, 1e-10);
        }
      }
    });

    it('works beside a probe head', async () => {
      await using model = await load();
      const trainer = new Trainer(model, { method: { kind: 'linear' }, epochs: 1, batchSize: 8 } as never);
      await trainer.train(tinySplit('train', 16, 1));
      const before = await model.predict(texts);
      await model.loadAdapter('polite', directory.path('polite'));
      const adapter = texts.map((_, i) => (i % 2 === 0 ? 'polite' : null));
      const found = await model.predict(texts, { adapter });
      await using alone = await TextClassifier.load(directory.path('polite'), CPU);
      const expected = await alone.predict(texts);
      for (const [i, { score }] of found.entries()) {
        expect(score).to.be.closeTo((i % 2 === 0 ? expected : before)[i]!.score, 1e-5);
      }
    });

    it("takes PEFT's own adapters", async () => {
      const parity = (name: string) => fixture('parity', name);
      await using model = await TextClassifier.load(parity('checkpoint'), CPU);
      for (const name of ['lora-final', 'prefix-final', 'lora-init']) await model.loadAdapter(name, parity(name));
      const batch = mixed(texts, [null, 'lora-final', 'prefix-final', 'lora-init']);
      const { logits, classes } = await model.logits(batch.texts, { adapter: batch.adapter });
      for (const name of ['lora-final', 'prefix-final', 'lora-init']) {
        await using alone = await TextClassifier.load(parity('checkpoint'), { ...CPU, adapter: parity(name) });
        const own = batch.texts.flatMap((text, i) => (batch.adapter[i] === name ? [{ text, i }] : []));
        const expected = await alone.logits(own.map(({ text }) => text));
        expect(classes).to.equal(expected.classes);
        for (const [row, { i }] of own.entries()) {
          for (let c = 0; c < classes; c++) {
            expect(logits[i * classes + c]).to.be.closeTo(expected.logits[row * classes + c]!, 1e-4);
          }
        }
      }
    });

    it('stops at an AbortSignal', async () => {
      await using model = await load();
      await loadAll(model);
      const controller = new AbortController();
      const many = new Array<string>(50_000).fill('a good day');
      const work = model.predict(many, { adapter: 'polite', signal: controller.signal });
      setTimeout(() => controller.abort(), 20);
      await expectRefusal(work, 'ABORTED');
      expect(await model.predict('a', { adapter: 'polite' })).to.have.length(1);
    });
  });

  describe('logits', () => {
    it('have the same classes in every row, or are refused', async () => {
      await using model = await load();
      await loadAll(model);
      const polite = await model.logits(['a', 'day'], { adapter: 'polite' });
      expect([polite.logits.length, polite.classes, polite.labels]).to.deep.equal([4, 2, ['rude', 'polite']]);
      const own = await model.logits(['a', 'day', 'day'], { adapter: ['dense', null, 'dense'] });
      expect([own.classes, own.labels]).to.deep.equal([3, LABELS]);
      const refused = model.logits(['a', 'b', 'c'], { adapter: ['polite', 'polite', 'inner'] });
      await expectRefusal(refused, 'INVALID_OPTION', /texts\[0\] are rude, polite and those of texts\[2\] x, y/);
      await expectRefusal(model.logits(['a', 'b'], { adapter: ['polite', null] }), 'INVALID_OPTION');
    });
  });

  describe('loadAdapter', () => {
    it('says what it loaded, and lists it', async () => {
      await using model = await load();
      expect(model.adapters).to.deep.equal([]);
      const info = await model.loadAdapter('polite', directory.path('polite'));
      // r · (in + out) of query and value in two layers, and the classifier, in F32.
      const bytes = 4 * (2 * 2 * 4 * (32 + 32) + 2 * 32 + 2);
      expect(info).to.deep.equal({
        name: 'polite',
        kind: 'lora',
        labels: ['rude', 'polite'],
        pairs: null,
        task: 'single-label',
        thresholds: null,
        temperature: null,
        longTexts: null,
        virtualTokens: 0,
        bytes,
        notes: [],
      });
      const prefix = await model.loadAdapter('warmth', directory.path('prefix'), {
        labels: ['hotter', 'Cold', 'hot', 'warm'],
      });
      expect(prefix).to.include({ kind: 'prefix', virtualTokens: 5 });
      expect(model.adapters).to.deep.equal([info, prefix]);
      expect((await model.predict('a', { adapter: 'warmth' }))[0]!.scores).to.have.all.keys(
        'Cold',
        'warm',
        'hot',
        'hotter',
      );
      expect(model.memory().adapters).to.be.above(info.bytes + prefix.bytes);
    });

    it("takes the model's classifier where the adapter has none", async () => {
      const headless = directory.path('headless');
      await cp(directory.path('dense'), headless, { recursive: true });
      const weights = join(headless, 'adapter_model.safetensors');
      const { tensors } = await readSafetensors(weights);
      await writeSafetensors(weights, new Map([...tensors].filter(([name]) => !name.includes('classifier'))));
      await using model = await load();
      expect((await model.loadAdapter('headless', headless)).labels).to.deep.equal(LABELS);
      const [found] = await model.predict('a good day', { adapter: 'headless' });
      await using alone = await TextClassifier.load(headless, CPU);
      expect(found!.score).to.be.closeTo((await alone.predict('a good day'))[0]!.score, 1e-6);
      await using other = await TextClassifier.load(directory.path('polite'), CPU);
      await expectRefusal(other.loadAdapter('headless', headless), 'INVALID_OPTION', "an adapter's");
    });

    it('refuses what cannot be loaded, and takes nothing', async () => {
      await using model = await load();
      await model.loadAdapter('polite', directory.path('polite'));
      const { adapters, total } = { adapters: model.adapters, total: model.memory().total };
      const again = model.loadAdapter('polite', directory.path('dense'));
      await expectRefusal(again, 'INVALID_OPTION', '"polite" is taken');
      await expectRefusal(model.loadAdapter('', directory.path('dense')), 'INVALID_OPTION', 'name');
      await expectRefusal(model.loadAdapter('x', directory.path('none')), 'NOT_FOUND');
      await expectRefusal(model.loadAdapter('x', base()), 'NOT_FOUND', 'adapter_config.json');
      const labels = ['only one'];
      await expectRefusal(
        model.loadAdapter('x', directory.path('dense'), { labels }),
        'INVALID_OPTION',
        'no, maybe, yes',
      );
      await expectRefusal(model.loadAdapter('x', directory.path('dense'), { label: [] } as object), 'INVALID_OPTION');
      await expectRefusal(model.loadAdapter('x', fixture('parity', 'lora-final')), 'SHAPE_MISMATCH', 'lora_A');
      const signal = AbortSignal.abort();
      await expectRefusal(model.loadAdapter('x', directory.path('dense'), { signal }), 'ABORTED');
      expect(model.adapters).to.deep.equal(adapters);
      expect(model.memory().total).to.equal(total);
    });

    it('refuses a name that is being loaded', async () => {
      await using model = await load();
      const loads = await Promise.allSettled([1, 2].map(() => model.loadAdapter('p', directory.path('polite'))));
      expect(loads.map(({ status }) => status).sort()).to.deep.equal(['fulfilled', 'rejected']);
    });

    it('gives all memory back, however often', async () => {
      await using model = await load();
      const batch = mixed(['a good day', 'never', 'we went home'], [null, 'polite', 'dense', 'prefix']);
      await model.predict(batch.texts);
      const once = async () => {
        for (const name of ['polite', 'dense', 'prefix']) await model.loadAdapter(name, directory.path(name));
        await model.predict(batch.texts, { adapter: batch.adapter });
        for (const name of ['dense', 'polite', 'prefix']) await model.unloadAdapter(name);
      };
      await once();
      const { total } = model.memory();
      expect(model.memory().adapters).to.equal(0);
      for (let i = 0; i < 20; i++) await once();
      global.gc?.();
      const resident = process.memoryUsage().rss;
      for (let i = 0; i < 200; i++) {
        await model.loadAdapter('dense', directory.path('dense'));
        if (i % 10 === 0) await model.predict(batch.texts, { adapter: 'dense' });
        await model.unloadAdapter('dense');
      }
      global.gc?.();
      expect(model.memory().total).to.equal(total);
      expect(process.memoryUsage().rss - resident).to.be.below(24 * 2 ** 20);
    });
  });

  describe('unloadAdapter', () => {
    it('waits for what uses the adapter, and frees its name at once', async () => {
      await using model = await load();
      await model.loadAdapter('polite', directory.path('polite'));
      const texts = tinySplit('texts', 3000, 5).texts;
      let predicted = false;
      const work = model.logits(texts, { adapter: 'polite', batchTokens: 64 }).then((found) => {
        predicted = true;
        return found;
      });
      await sleep(5);
      const unloaded = model.unloadAdapter('polite');
      expect(model.adapters).to.deep.equal([]);
      await expectRefusal(model.predict('a', { adapter: 'polite' }), 'NOT_FOUND', 'none is loaded');
      await model.loadAdapter('polite', directory.path('dense'));
      await unloaded;
      expect(predicted).to.equal(true);
      const { logits } = await work;
      await using alone = await TextClassifier.load(directory.path('polite'), CPU);
      const expected = (await alone.logits(texts)).logits;
      for (const [i, value] of expected.entries()) expect(logits[i]).to.be.closeTo(value, 1e-5);
      expect((await model.predict('a', { adapter: 'polite' }))[0]!.scores).to.have.all.keys(LABELS);
    });

    for (const call of ['logits', 'predict'] as const) {
      it(`waits for ${call} to end also where its last work in JavaScript takes many slices of time`, async () => {
        await using model = await load();
        await model.loadAdapter('polite', directory.path('polite'));
        const ended: string[] = [];
        // Every slice is over as soon as it begins.
        let time = 0;
        performance.now = () => (time += 1000);
        try {
          const work = model[call](tinySplit('texts', 300, 5).texts, { adapter: 'polite' }).then(() =>
            ended.push(call),
          );
          await Promise.all([work, model.unloadAdapter('polite').then(() => ended.push('unload'))]);
        } finally {
          delete (performance as { now?: unknown }).now;
        }
        expect(ended).to.deep.equal([call, 'unload']);
      });
    }

    it('refuses names that are not loaded, listing those that are', async () => {
      await using model = await load();
      await expectRefusal(model.unloadAdapter('x'), 'NOT_FOUND', '"x": none is loaded');
      await loadAll(model);
      const unknown = model.predict(['a', 'b'], { adapter: ['polite', 'polit'] });
      await expectRefusal(unknown, 'NOT_FOUND', 'polite, topics, dense, inner, prefix', 'did you mean polite?');
      const bad = (adapter: unknown) => model.predict(['a', 'b'], { adapter } as object);
      await expectRefusal(bad(['polite']), 'INVALID_OPTION', 'each of 2 texts');
      await expectRefusal(bad(['polite', 3]), 'INVALID_OPTION', 'adapter[1]');
      await expectRefusal(bad(7), 'INVALID_OPTION', 'for adapter but received 7');
      await expectRefusal(bad(''), 'INVALID_OPTION', 'adapter');
    });
  });

  describe('beside training', () => {
    it('is released by a Trainer, and takes no part', async () => {
      const train = tinySplit('train', 32, 1);
      const losses = async (adapters: boolean) => {
        await using model = await load();
        if (adapters) await loadAll(model);
        const trainer = new Trainer(model, { method: lora({ rank: 2 }), epochs: 1, batchSize: 8 });
        const running = trainer.train(train);
        const early = expectRefusal(model.loadAdapter('x', directory.path('dense')), 'INVALID_OPTION', 'being trained');
        const { logHistory } = await running;
        await early;
        expect(model.adapters).to.deep.equal([]);
        expect(model.memory().adapters).to.equal(0);
        await expectRefusal(model.predict('a', { adapter: 'polite' }), 'NOT_FOUND');
        await model.loadAdapter('polite', directory.path('polite'));
        await model.predict('a', { adapter: ['polite'] });
        return logHistory.map((row) => ('loss' in row ? row.loss : null));
      };
      expect(await losses(true)).to.deep.equal(await losses(false));
    });

    it('finishes what uses an adapter when training begins', async () => {
      await using model = await load();
      await loadAll(model);
      const texts = tinySplit('texts', 1000, 5).texts;
      const expected = await model.predict(texts, { adapter: 'polite' });
      const work = model.predict(texts, { adapter: 'polite' });
      await new Trainer(model, { method: full(), epochs: 1, batchSize: 8 }).train(tinySplit('train', 16, 1));
      expect(await work).to.deep.equal(expected);
    });
  });

  it('goes with the model', async () => {
    const model = await load();
    await loadAll(model);
    const work = model.predict('a good day', { adapter: 'polite' });
    await model.dispose();
    await work;
    expect(model.adapters).to.deep.equal([]);
    expect(model.memory.bind(model)).to.throw('disposed');
    await expectRefusal(model.loadAdapter('x', directory.path('dense')), 'DISPOSED');
    await expectRefusal(model.unloadAdapter('polite'), 'DISPOSED');
    await expectRefusal(model.predict('a', { adapter: 'polite' }), 'DISPOSED');
  });
});

describe('batches of several adapters', () => {
  const offsets = Int32Array.of(0, 3, 4, 10, 12, 17);

  it('put texts of one key together, the longest first', () => {
    expect([...groupedLongestFirst(offsets, Int32Array.of(2, 1, 1, 2, 2))]).to.deep.equal([2, 1, 4, 0, 3]);
  });

  it('end where a group ends', () => {
    const groups = Int32Array.of(0, 0, 0, 4, 4);
    const { starts } = packBatches(offsets, Int32Array.of(2, 0, 1, 4, 3), 100, groups);
    expect([...starts]).to.deep.equal([0, 3, 5]);
  });
});

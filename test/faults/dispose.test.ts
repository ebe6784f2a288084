import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { lora, PredictionService, TextClassifier, Trainer } from '../../lib/index.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';
import { ADAPTERS, writeTinyAdapter } from '../lib/tiny-adapters.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { seeded } from './collector.js';
import { note, scaled } from './scale.js';

const train = tinySplit('train', 300, 1);
const { texts } = tinySplit('probe', 300, 3);
const HANG_MILLISECONDS = 30_000;

describe('dispose', () => {
  const directory = useTemporaryDirectory();
  const seed = Date.now() % 1e6;
  const random = seeded(seed);

  beforeEach(async () => {
    const config = await writeTinyCheckpoint(directory.path('base'));
    await writeTinyAdapter(directory.path('adapter'), directory.path('base'), config, ADAPTERS.polite);
  });

  const load = () => TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
  let saves = 0;

  /** Everything that can be under way, begun on a model. */
  const WORK: Record<string, (model: TextClassifier, service: PredictionService) => Promise<unknown>> = {
    train: (model) => new Trainer(model, { epochs: 2, loggingSteps: 3 }).train(train, { validation: train }),
    'train lora': (model) => new Trainer(model, { method: lora(), epochs: 1 }).train(train),
    evaluate: (model) => new Trainer(model).evaluate(train),
    predict: (model) => model.predict(texts),
    logits: (model) => model.logits(texts.slice(0, 3)),
    'predict with an adapter': async (model) => {
      await model.loadAdapter(`own ${saves++}`, directory.path('adapter'));
      return model.predict(texts, { adapter: model.adapters[0]?.name ?? null });
    },
    loadAdapter: (model) => model.loadAdapter(`late ${saves++}`, directory.path('adapter')),
    unloadAdapter: async (model) => {
      const name = `gone ${saves++}`;
      await model.loadAdapter(name, directory.path('adapter'));
      await model.unloadAdapter(name);
    },
    save: (model) => model.save(directory.path(`save-${saves++}`)),
    export: (model) => model.export(directory.path(`save-${saves++}`)),
    exportOnnx: (model) => model.exportOnnx(directory.path(`save-${saves++}`)),
    parameter: (model) => model.parameter('classifier.weight'),
    unmerge: (model) => model.unmerge(),
    serve: (_model, service) => Promise.all(texts.slice(0, 40).map((text) => service.predict(text))),
    'serve an adapter': async (model, service) => {
      const name = `served ${saves++}`;
      await model.loadAdapter(name, directory.path('adapter'));
      return service.predict(texts, { adapter: name });
    },
  };

  /** What a promise comes to, in time. */
  async function ending(work: Promise<unknown>): Promise<string> {
    const settled = work.then(
      () => 'done',
      (error: unknown) => (error instanceof BertuneError ? error.code : `not a BertuneError: ${error}`),
    );
    return Promise.race([settled, sleep(HANG_MILLISECONDS, 'hangs', { ref: false })]);
  }

  for (const [name, work] of Object.entries(WORK)) {
    it(`at any moment of ${name}: it ends, done or with DISPOSED, and the memory is free`, async () => {
      const times = scaled(2, 60);
      for (let time = 0; time < times; time++) {
        const model = await load();
        const service = new PredictionService(model);
        const running = ending(work(model, service));
        await sleep(random() ** 2 * 80);
        const disposals = [model.dispose(), model[Symbol.asyncDispose](), model.dispose()];
        const result = await running;
        expect(['done', 'DISPOSED'], `seed ${seed}`).to.include(result);
        for (const disposal of disposals) expect(await ending(disposal), `seed ${seed}`).to.equal('done');
        expect(await ending(service.dispose())).to.equal('done');
        expect(model.adapters).to.deep.equal([]);
      }
      note(`dispose during ${name}`, times);
    }).timeout(600_000);
  }

  it('refuses everything afterwards with DISPOSED', async () => {
    const model = await load();
    const trainer = new Trainer(model);
    const service = new PredictionService(model);
    await model.dispose();
    for (const [name, work] of Object.entries(WORK)) {
      expect(await ending(Promise.resolve().then(() => work(model, service))), name).to.equal('DISPOSED');
    }
    await expectRefusal(() => trainer.train(train), 'DISPOSED');
    await expectRefusal(() => trainer.evaluate(train), 'DISPOSED');
    await expectRefusal(() => model.merge(), 'DISPOSED');
    await expectRefusal(() => model.memory(), 'DISPOSED');
    await expectRefusal(() => model.parameters(), 'DISPOSED');
    await expectRefusal(() => model.countParameters(), 'DISPOSED');
    await expectRefusal(() => model.maxLength, 'DISPOSED');
    await expectRefusal(() => new Trainer(model), 'DISPOSED');
    await service.dispose();
    await expectRefusal(() => service.predict('a'), 'DISPOSED');
    expect(model.labels).to.have.length(3);
  });

  it('of a service with calls of every kind: all of them settle', async () => {
    const model = await load();
    await model.loadAdapter('polite', directory.path('adapter'));
    for (const queued of ['finish', 'drop'] as const) {
      const service = new PredictionService(model, { maxWait: 20 });
      const calls = Array.from({ length: 30 }, (_, i) =>
        ending(service.predict(texts.slice(0, 1 + i), { timeout: 10_000, ...(i % 2 && { adapter: 'polite' }) })),
      );
      await sleep(random() * 10);
      const disposals = [service.dispose({ queued }), service.dispose(), service.dispose({ queued: 'drop' })];
      for (const found of await Promise.all(calls)) expect(['done', 'DISPOSED']).to.include(found);
      for (const disposal of disposals) expect(await ending(disposal)).to.equal('done');
      expect(service.stats()).to.include({ calls: 0, queuedTexts: 0, runningTexts: 0 });
    }
    await model.dispose();
  });
});

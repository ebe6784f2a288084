import { expect } from 'chai';
import { BertuneError, type ErrorCode } from '../../lib/errors.js';
import { findModel, PredictionService, TextClassifier, Trainer, type TrainerEvents } from '../../lib/index.js';
import { loadNative } from '../../lib/native/index.js';
import { tinyModel, useEnvironment, useFakeHubs } from '../hub/support.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { openSession } from '../native/support.js';
import { note } from './scale.js';

const EVENTS = ['start', 'log', 'progress', 'evaluate', 'epoch'] as const satisfies readonly (keyof TrainerEvents)[];
const train = tinySplit('train', 40, 1);
const validation = tinySplit('validation', 8, 2);
const { texts } = tinySplit('probe', 6, 3);

/** What anything may throw. */
const THROWN: unknown[] = [
  new Error('mine'),
  new BertuneError('ABORTED', 'mine'),
  'text',
  null,
  undefined,
  Symbol('x'),
  Object.freeze({}),
];

describe('callbacks', () => {
  const directory = useTemporaryDirectory();
  let model: TextClassifier;

  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('base'));
    model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
  });
  afterEach(() => model.dispose());

  const trainerOf = () => new Trainer(model, { epochs: 2, learningRate: 1e-3, loggingSteps: 1, batchSize: 8 });

  /** Predicts, trains and evaluates, as if nothing had happened. */
  async function expectUsable(): Promise<void> {
    expect(await model.predict(texts)).to.have.length(6);
    expect((await trainerOf().train(train, { validation })).stopped).to.equal('done');
    expect(model.memory().datasets).to.equal(0);
  }

  for (const event of EVENTS) {
    it(`of '${event}' end the run with what they throw, whatever that is`, async () => {
      for (const thrown of THROWN) {
        const trainer = trainerOf();
        trainer.on(event, () => {
          throw thrown;
        });
        const caught = await trainer.train(train, { validation }).then(
          () => 'no end',
          (error: unknown) => ({ error }),
        );
        expect(caught).to.deep.equal({ error: thrown });
        expect(model.memory().datasets).to.equal(0);
      }
      await expectUsable();
      note(`listeners of '${event}' that throw`, THROWN.length);
    });

    it(`of '${event}' may predict, evaluate and save; training within training is refused`, async () => {
      const trainer = trainerOf();
      const inside: Promise<unknown>[] = [];
      let turn = 0;
      trainer.on(event, () => {
        turn += 1;
        if (turn > 2) return;
        const place = directory.path(`${event}-${turn}`);
        inside.push(
          model.predict(texts),
          trainer.evaluate(validation),
          model.save(place),
          expectRefusal(() => trainer.train(train), 'INVALID_OPTION', 'being trained'),
          expectRefusal(() => new Trainer(model).train(train), 'INVALID_OPTION', 'being trained'),
          expectRefusal(() => model.merge(), 'INVALID_OPTION', 'being trained'),
          TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 }).then((other) => other.dispose()),
        );
      });
      expect((await trainer.train(train, { validation })).stopped).to.equal('done');
      await Promise.all(inside);
      expect(inside.length).to.be.at.least(7);
      await using saved = await TextClassifier.load(directory.path(`${event}-1`), { device: 'cpu', threads: 1 });
      expect(await saved.predict(texts)).to.have.length(6);
      await expectUsable();
    });

    it(`of '${event}' may dispose of the model, which ends the run with DISPOSED`, async () => {
      const trainer = trainerOf();
      let disposal: Promise<void> | undefined;
      trainer.on(event, () => {
        disposal ??= model.dispose();
      });
      await expectRefusal(trainer.train(train, { validation }), 'DISPOSED');
      await disposal;
      await expectRefusal(model.predict('a'), 'DISPOSED');
    });
  }

  it('of an AbortSignal that abort from within a listener end the run with ABORTED', async () => {
    for (const event of EVENTS) {
      const controller = new AbortController();
      const trainer = trainerOf();
      trainer.on(event, () => controller.abort(Symbol('why')));
      await expectRefusal(trainer.train(train, { validation, signal: controller.signal }), 'ABORTED');
    }
    await expectUsable();
  });

  it('of a service that throw become one warning, and its calls are answered', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on('warning', listen);
    const expected = await model.predict(texts);
    for (const thrown of THROWN) {
      let called = 0;
      const onBatch = () => {
        called += 1;
        throw thrown;
      };
      await using service = new PredictionService(model, { onBatch });
      for (let call = 0; call < 3; call++) expect(await service.predict(texts)).to.have.length(expected.length);
      expect(called).to.equal(3);
      expect(service.stats()).to.include({ calls: 0, queuedTexts: 0, runningTexts: 0 });
    }
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', listen);
    expect(warnings.filter(({ name }) => name === 'BertuneWarning')).to.have.length(THROWN.length);
  });

  it('of a service may call it, and dispose of it', async () => {
    const again: Promise<unknown>[] = [];
    const service: PredictionService = new PredictionService(model, {
      onBatch: () => {
        if (again.length < 3) again.push(service.predict(texts));
        else void service.dispose();
      },
    });
    await service.predict(texts);
    while (again.length < 3) await new Promise((resolve) => setImmediate(resolve));
    await Promise.all(again);
    await service.dispose();
    await expectRefusal(service.predict('a'), 'DISPOSED');
  });
});

describe('onProgress', () => {
  const directory = useTemporaryDirectory();
  const environment = useEnvironment();
  const startHub = useFakeHubs();

  it('ends the transfer with what it throws, and the next call finishes it', async () => {
    const hub = await startHub(await tinyModel(directory.path('source')));
    environment({ HF_HOME: directory.path('hub'), HF_ENDPOINT: hub.endpoint });
    for (const thrown of THROWN) {
      const onProgress = () => {
        throw thrown;
      };
      const caught = await findModel('org/tiny', { onProgress }).then(
        () => 'no end',
        (error: unknown) => ({ error }),
      );
      expect(caught).to.deep.equal({ error: thrown });
    }
    await using model = await TextClassifier.load('org/tiny', { device: 'cpu', threads: 1 });
    expect(await model.predict(texts)).to.have.length(6);
  });
});

describe('the factory of errors', () => {
  const original = (code: ErrorCode, message: string) => new BertuneError(code, message);
  afterEach(() => loadNative().setErrorFactory(original));

  it('rejects with what it throws or returns, and no promise stays open', async () => {
    const { session } = await openSession();
    const failing = () =>
      session.removeDataset(99).then(
        () => 'resolved',
        (error: unknown) => ({ error }),
      );
    for (const odd of THROWN) {
      loadNative().setErrorFactory(() => {
        throw odd;
      });
      expect(await failing()).to.deep.equal({ error: odd });
      expect(() => session.read(1 as never, 'value')).to.throw();
      loadNative().setErrorFactory(() => odd as Error);
      const returned = await failing();
      if (!Object.isFrozen(odd) || typeof odd !== 'object') expect(returned).to.deep.equal({ error: odd });
    }
    loadNative().setErrorFactory(original);
    await expectRefusal(session.removeDataset(99), 'NOT_FOUND');
    await session.dispose();
  });
});

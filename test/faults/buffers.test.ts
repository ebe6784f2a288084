import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { NativeSession, NativeTrainPlan, NativeTrainResult } from '../../lib/native/index.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { nativeAdapter } from '../native/shape.js';
import { dataset, initialize, MODEL, openSession, startsOf, trainPlan } from '../native/support.js';
import { loadOperations } from '../operations/addon.js';
import { gc } from './collector.js';
import { resizable } from './hostile-values.js';
import { note, scaled } from './scale.js';

type Numbers = Int32Array | Float32Array | Float64Array | Uint8Array;

/** Ways to take a buffer away, or to change it, as soon as a call has begun. */
const ATTACKS: Record<string, { place: <T extends Numbers>(array: T) => T; strike: (array: Numbers) => void }> = {
  transferred: {
    place: (array) => array.slice() as typeof array,
    strike: ({ buffer }) => {
      structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    },
  },
  overwritten: { place: (array) => array.slice() as typeof array, strike: (array) => void array.fill(77) },
  resized: {
    place: (array) => copyTo(array, resizable(array.byteLength, 2 * array.byteLength)),
    strike: ({ buffer }) => (buffer as ReturnType<typeof resizable>).resize(0),
  },
  shared: {
    place: (array) => copyTo(array, new SharedArrayBuffer(array.byteLength)),
    strike: (array) => void array.fill(77),
  },
};

function copyTo<T extends Numbers>(array: T, buffer: ArrayBufferLike): T {
  const copy = new (array.constructor as new (buffer: ArrayBufferLike) => T)(buffer);
  copy.set(array as never);
  return copy;
}

const ORDER = Int32Array.of(7, 0, 3);
const STARTS = startsOf(3, 2);

describe('buffers that go away during a call', () => {
  for (const [name, { place, strike }] of Object.entries(ATTACKS)) {
    it(`are copied before: ${name}`, async () => {
      const rounds = scaled(5, 300);
      const { session, handle } = await openSession();
      /** Puts the arrays in such buffers, begins the call, and takes them away. */
      const struck = async <A extends Record<string, Numbers>, R>(arrays: A, call: (placed: A) => Promise<R>) => {
        const placed = Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key, place(array)])) as A;
        const running = call(placed);
        for (const array of Object.values(placed)) strike(array);
        if (Math.random() < 0.1) gc();
        return running;
      };
      const values = Float32Array.from({ length: 50 * MODEL.hiddenSize }, (_, i) => Math.sin(i));
      const data = { ...dataset(), labels: dataset().labels!, typeIds: dataset().typeIds! };
      const expected = await session.predict(data, ORDER, STARTS);
      const word = 'bert.embeddings.word_embeddings.weight';
      const weights = new Uint8Array((await session.read(word, 'value')).buffer);
      // Moments stay in a session, so each run is in one of its own.
      const trainAlone = async (
        call: (plan: NativeTrainPlan, session: NativeSession) => Promise<NativeTrainResult>,
      ) => {
        const own = await openSession();
        const { losses } = await call(trainPlan(own.handle, 3), own.session);
        await own.session.dispose();
        return losses;
      };
      const losses = await trainAlone((plan, own) => own.train(plan));
      const adapter = {
        prompt: new Uint8Array(new Float32Array(2 * 2 * MODEL.layers * MODEL.hiddenSize).fill(0.1).buffer),
        weight: new Uint8Array(values.slice(0, 2 * MODEL.hiddenSize).buffer),
        bias: new Uint8Array(Float32Array.of(1, -1).buffer),
      };
      const addAdapter = ({ prompt, weight, bias }: typeof adapter) =>
        session.addAdapter(
          ...nativeAdapter(MODEL, { labels: 2, lora: null, prefix: { virtualTokens: 2 } }, [
            { name: 'prompt_encoder.embedding.weight', dtype: 'F32', bytes: prompt },
            { name: 'classifier.weight', dtype: 'F32', bytes: weight },
            { name: 'classifier.bias', dtype: 'F32', bytes: bias },
          ]),
        );
      const first = await addAdapter(adapter);
      const adapters = new Int32Array(3).fill(first);
      await initialize(session);
      const mixed = await session.forwardMixed(handle, ORDER, STARTS, adapters);
      for (let round = 0; round < rounds; round++) {
        // Something long before it in the queue, so that the call is read while its buffers are gone.
        const before = session.train(trainPlan(handle, 20));
        const write = struck({ bytes: new Uint8Array(values.buffer) }, ({ bytes }) =>
          session.write(word, 'value', 'F32', bytes),
        );
        const read = session.read(word, 'value');
        await Promise.all([before, write]);
        expect(await read).to.deep.equal(values);
        await initialize(session);
        await struck({ bytes: weights }, ({ bytes }) => session.write(word, 'value', 'F32', bytes));
        const predicted = struck({ ...data, order: ORDER, starts: STARTS }, ({ order: own, starts, ...rest }) =>
          session.predict(rest, own, starts),
        );
        expect(await predicted).to.deep.equal(expected);
        const added = await struck(data, (placed) => session.addDataset(placed));
        const forward = struck({ order: ORDER, starts: STARTS }, ({ order, starts }) =>
          session.forward(added, order, starts),
        );
        expect(await forward).to.deep.equal(expected);
        await session.removeDataset(added);
        const again = await struck(adapter, addAdapter);
        const forwardMixed = struck({ order: ORDER, adapters: new Int32Array(3).fill(again) }, (placed) =>
          session.forwardMixed(handle, placed.order, STARTS, placed.adapters),
        );
        expect(await forwardMixed).to.deep.equal(mixed);
        await session.removeAdapter(again);
        const found = await trainAlone(({ order, learningRates, classWeights, ...plan }, own) =>
          struck({ order, learningRates, classWeights: classWeights! }, (placed) => own.train({ ...plan, ...placed })),
        );
        expect(found).to.deep.equal(losses);
        await initialize(session);
      }
      await session.dispose();
      note(`buffers ${name} during a call`, rounds * 8);
    }).timeout(300_000);
  }

  it('are written to by an operation only where they are still there', async () => {
    for (const { place, strike } of [ATTACKS.transferred!, ATTACKS.resized!]) {
      const arrays = { inp: place(new Float32Array(6).fill(1)), weight: place(new Float32Array(12).fill(2)) };
      const out = place(new Float32Array(8));
      const where = { device: 'cpu', precision: 'fp32', threads: 1 } as const;
      const sizes = { rows: 2, n: 4, k: 3 };
      const run = loadOperations().runOperation('linear_forward', where, { ...arrays, out }, sizes, 1000);
      for (const array of [...Object.values(arrays), out]) strike(array);
      gc();
      expect((await run).seconds).to.be.above(0);
      expect(out).to.have.length(0);
    }
  });
});

describe('data that change while they are used', () => {
  const directory = useTemporaryDirectory();

  it('are trained on and predicted as they were when the call was made', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    const run = async (disturb: (texts: string[], labels: Int32Array) => void) => {
      await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
      const { texts, labels, ...split } = tinySplit('train', 3000, 5);
      const own = { texts: [...texts], labels: labels.slice() };
      const trainer = new Trainer(model, { epochs: 0.05, learningRate: 1e-2 });
      const training = trainer.train({ ...split, ...own }, { validation: { ...split, ...own } });
      await turn();
      disturb(own.texts, own.labels);
      const { trainLoss, logHistory } = await training;
      const asked = [...texts];
      const names = asked.map(() => null);
      const predicting = model.predict(asked, { adapter: names });
      await turn();
      disturb(asked, labels.slice());
      names.length = 0;
      const rows = logHistory.map((row) => ('eval_loss' in row ? row.eval_loss : null));
      return { trainLoss, rows, predictions: await predicting };
    };
    const expected = await run(() => {});
    expect(expected.predictions).to.have.length(3000);
    const emptied = await run((texts, labels) => {
      texts.length = 3;
      texts.push('else');
      structuredClone(labels.buffer, { transfer: [labels.buffer as ArrayBuffer] });
    });
    expect(emptied).to.deep.equal(expected);
    const changed = await run((texts, labels) => {
      texts.fill(7 as never);
      labels.fill(99);
    });
    expect(changed).to.deep.equal(expected);
    expect(LABELS).to.have.length(3);
  }).timeout(120_000);
});

import { expect } from 'chai';
import { loadNative, type NativeSession, type NativeTensor } from '../../lib/native/index.js';
import { nativeAdapter, nativeConfig } from '../native/shape.js';
import { dataset, initialize, MODEL, openSession, sessionConfig, startsOf, trainPlan } from '../native/support.js';
import { loadOperations } from '../operations/addon.js';
import { HOSTILE_VALUES, resizable } from './hostile-values.js';
import { outcomeOf } from './outcome.js';
import { note } from './scale.js';

type Call = (value: never) => unknown;

const STARTS = startsOf(3);
const ORDER = Int32Array.of(0, 3, 5);
const PREFIX = { labels: 2, lora: null, prefix: { virtualTokens: 2 } };

/** The tensors of PREFIX. */
function tensors(): NativeTensor[] {
  const tensor = (name: string, count: number) => {
    const values = new Float32Array(count).fill(0.1);
    return { name, dtype: 'F32' as const, bytes: new Uint8Array(values.buffer) };
  };
  const { layers, hiddenSize } = MODEL;
  return nativeAdapter(MODEL, PREFIX, [
    tensor('prompt_encoder.embedding.weight', 2 * 2 * layers * hiddenSize),
    tensor('classifier.weight', 2 * hiddenSize),
    tensor('classifier.bias', 2),
  ])[1];
}

/** Every argument, and every field of an argument, of every method of a session. */
function sessionCalls(session: NativeSession, handle: number): Record<string, Call[]> {
  const fields = <T extends object>(whole: T, call: (changed: T) => unknown): Call[] =>
    Object.keys(whole).map((key) => (value: never) => call({ ...whole, [key]: value }));
  const remove = (adapter: Promise<number>) => adapter.then((added) => session.removeAdapter(added));
  const drop = (added: Promise<number>) => added.then((each) => session.removeDataset(each));
  const bytes = new Uint8Array(4 * MODEL.labels);
  const train = { ...trainPlan(handle), lookAhead: 2 };
  return {
    parameters: [(value) => (session.parameters as Call)(value)],
    memory: [(value) => (session.memory as Call)(value)],
    read: [(value) => session.read(value, 'value'), (value) => session.read('classifier.bias', value)],
    write: [
      (value) => session.write(value, 'value', 'F32', bytes),
      (value) => session.write('classifier.bias', value, 'F32', bytes),
      (value) => session.write('classifier.bias', 'value', value, bytes),
      (value) => session.write('classifier.bias', 'value', 'F32', value),
      (value) => session.write('classifier.bias', 'value', 'F32', bytes, value),
    ],
    initialize: [
      (value) => session.initialize(value, { distribution: 'normal', scale: 1, seed: 1 }),
      (value) => session.initialize('classifier.bias', value),
      ...fields({ distribution: 'normal' as const, scale: 1, seed: 1 }, (whole) =>
        session.initialize('classifier.bias', whole),
      ),
    ],
    addDataset: [
      (value) => drop(session.addDataset(value)),
      ...fields(dataset(), (whole) => drop(session.addDataset(whole))),
    ],
    removeDataset: [(value) => session.removeDataset(value)],
    addAdapter: [
      (value) => remove(session.addAdapter(value, tensors())),
      (value) => remove(session.addAdapter(PREFIX, value)),
      (value) => remove(session.addAdapter(PREFIX, tensors(), value)),
      ...fields(PREFIX, (whole) => remove(session.addAdapter(whole, tensors()))),
      ...fields(tensors()[0]!, (first) => remove(session.addAdapter(PREFIX, [first, ...tensors().slice(1)]))),
      ...fields({ role: 'classifier' as const, layer: -1, rank: 2, scaling: 2 }, (module) =>
        remove(session.addAdapter({ labels: 2, lora: { modules: [module] }, prefix: null }, tensors())),
      ),
    ],
    removeAdapter: [(value) => session.removeAdapter(value)],
    reserve: [
      (value) => session.reserve(value),
      ...fields({ tokens: 64, sequences: 4, training: true, gradientCheckpointing: true, stepTokens: 64 }, (whole) =>
        session.reserve(whole),
      ),
    ],
    train: [(value) => session.train(value), ...fields(train, (whole) => session.train(whole))],
    trainTogether: [
      (value) => session.trainTogether(value),
      ...fields({ ...train, variants: Int32Array.of(0) }, (whole) => session.trainTogether(whole)),
    ],
    select: [(value) => session.select(value)],
    gradients: [
      (value) => session.gradients(value),
      ...fields({ ...train, order: train.order.slice(0, train.batchSize) }, (whole) => session.gradients(whole)),
    ],
    forward: [
      (value) => session.forward(value, ORDER, STARTS),
      (value) => session.forward(handle, value, STARTS),
      (value) => session.forward(handle, ORDER, value),
    ],
    forwardMixed: [
      (value) => session.forwardMixed(value, ORDER, STARTS, new Int32Array(3)),
      (value) => session.forwardMixed(handle, value, STARTS, new Int32Array(3)),
      (value) => session.forwardMixed(handle, ORDER, value, new Int32Array(3)),
      (value) => session.forwardMixed(handle, ORDER, STARTS, value),
    ],
    predict: [
      (value) => session.predict(value, ORDER, STARTS),
      (value) => session.predict(dataset(), value, STARTS),
      (value) => session.predict(dataset(), ORDER, value),
      ...fields(dataset(), (whole) => session.predict(whole, ORDER, STARTS)),
    ],
    hiddenStates: [
      (value) => session.hiddenStates(value, ORDER),
      (value) => session.hiddenStates(handle, value),
      (value) => session.hiddenStates(handle, ORDER, value),
    ],
    promptEmbeddings: [(value) => (session.promptEmbeddings as Call)(value)],
    recordings: [(value) => (session.recordings as Call)(value)],
    joinRanks: [
      (value) => session.joinRanks(value, 1),
      (value) => session.joinRanks('libnone.so', value),
      ...fields({ rank: 0, size: 1, address: '127.0.0.1', port: 1 }, (whole) => session.joinRanks(whole, 1)),
    ],
    allReduce: [(value) => session.allReduce(value)],
    leaveRanks: [(value) => (session.leaveRanks as Call)(value)],
    abort: [(value) => (session.abort as Call)(value)],
  };
}

const where = { device: 'cpu', precision: 'fp32', threads: 1 } as const;
const linear = () => ({ inp: new Float32Array(6), weight: new Float32Array(12), out: new Float32Array(8) });
const SIZES = { rows: 2, n: 4, k: 3 };

describe('hostile arguments of the addon', () => {
  /** Makes every call with every value, and says what went wrong. */
  async function faultsOf(calls: readonly Call[], name: string): Promise<{ faults: string[]; count: number }> {
    const faults: string[] = [];
    let count = 0;
    for (const [index, call] of calls.entries()) {
      for (const value of HOSTILE_VALUES) {
        const outcome = await outcomeOf(() => call(value.make() as never));
        count += 1;

        if (outcome.kind === 'fault') faults.push(`${name}[${index}] of ${value.name}: ${outcome.what}`);
        else if (outcome.kind === 'refused' && outcome.code === 'INTERNAL') {
          faults.push(`${name}[${index}] of ${value.name}: ${outcome.message}`);
        }
      }
    }
    return { faults, count };
  }

  it('are refused or taken by every method of a session, which computes the same afterwards', async () => {
    const { session, handle } = await openSession();
    const before = await session.forward(handle, ORDER, STARTS);
    const calls = sessionCalls(session, handle);
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(session));
    expect(Object.keys(calls).sort()).to.deep.equal(
      methods.filter((name) => name !== 'constructor' && name !== 'dispose').sort(),
    );
    let total = 0;
    for (const [name, each] of Object.entries(calls)) {
      const { faults, count } = await faultsOf(each, name);
      total += count;
      expect(faults.join('\n')).to.equal('');
      await initialize(session);
      expect(await session.forward(handle, ORDER, STARTS), name).to.deep.equal(before);
    }
    await session.dispose();
    note('hostile arguments: calls of a native session', total);
  }).timeout(300_000);

  it('are refused or taken by createSession, field by field', async () => {
    const whole = nativeConfig(sessionConfig({ threads: 1 }));
    const { parameters } = whole;
    const create = async (config: unknown) => {
      const session = await loadNative().createSession(config as never);
      await session.dispose();
    };
    const fields = (object: object, make: (changed: never) => unknown): Call[] =>
      Object.keys(object).map((key) => (value) => create(make({ ...object, [key]: value } as never)));
    const calls = [
      (value: never) => create(value),
      ...fields(whole, (config) => config),
      ...fields(whole.model, (model) => ({ ...whole, model })),
      ...fields(whole.lora!, (lora) => ({ ...whole, lora })),
      ...fields(whole.lora!.modules[0]!, (module) => ({ ...whole, lora: { ...whole.lora, modules: [module] } })),
      ...fields(whole.lora!, (lora) => ({ ...whole, lora: [lora] })),
      (value: never) => create({ ...whole, lora: value } as never),
      (value: never) => create({ ...whole, lora: [whole.lora, value] } as never),
      ...fields({ ...parameters[0]!, variant: 0 }, (first) => ({
        ...whole,
        parameters: [first, ...parameters.slice(1)],
      })),
    ];
    const { faults, count } = await faultsOf(calls, 'createSession');
    expect(faults.join('\n')).to.equal('');
    note('hostile arguments: calls of createSession', count);
  }).timeout(300_000);

  it('are refused or taken by runOperation', async () => {
    const run = loadOperations().runOperation;
    const calls: Call[] = [
      (value) => run(value, where, linear(), SIZES, 1),
      (value) => run('linear_forward', value, linear(), SIZES, 1),
      (value) => run('linear_forward', where, value, SIZES, 1),
      (value) => run('linear_forward', where, linear(), value, 1),
      (value) => run('linear_forward', where, linear(), SIZES, value),
      ...Object.keys(where).map(
        (key): Call =>
          (value) =>
            run('linear_forward', { ...where, [key]: value }, linear(), SIZES, 1),
      ),
      ...Object.keys(linear()).map(
        (key): Call =>
          (value) =>
            run('linear_forward', where, { ...linear(), [key]: value }, SIZES, 1),
      ),
      ...Object.keys(SIZES).map(
        (key): Call =>
          (value) =>
            run('linear_forward', where, linear(), { ...SIZES, [key]: value }, 1),
      ),
    ];
    const { faults, count } = await faultsOf(calls, 'runOperation');
    expect(faults.join('\n')).to.equal('');
    note('hostile arguments: calls of runOperation', count);
  }).timeout(300_000);

  it('are refused where sizes are the largest that a field takes', async () => {
    const most = 2 ** 31 - 1;
    const { model } = sessionConfig();
    for (const key of ['vocabSize', 'hiddenSize', 'feedForwardSize', 'labels', 'maxPositions'] as const) {
      const config = sessionConfig({ model: { ...model, heads: 1, [key]: most } });
      const outcome = await outcomeOf(() => loadNative().createSession(nativeConfig(config)));
      // One of them alone may be affordable where memory is only taken as it is used.
      expect(outcome.kind, JSON.stringify(outcome)).to.equal('refused');
    }
    const all = {
      ...model,
      vocabSize: most,
      hiddenSize: most,
      layers: 5000,
      feedForwardSize: most,
      labels: most,
      heads: 1,
    };
    const outcome = await outcomeOf(() => loadNative().createSession(nativeConfig(sessionConfig({ model: all }))));
    expect(outcome.kind, JSON.stringify(outcome)).to.equal('refused');
    const { session, handle } = await openSession();
    for (const limits of [
      { tokens: most, sequences: 1 },
      { tokens: 1, sequences: most },
      { tokens: most, sequences: most },
    ]) {
      for (const training of [true, false]) {
        const reserved = await outcomeOf(() => session.reserve({ ...limits, training }));
        expect(reserved.kind, JSON.stringify(reserved)).to.equal('refused');
      }
    }
    expect(await session.forward(handle, ORDER, STARTS)).to.have.length(3 * MODEL.labels);
    await session.dispose();
  });

  it('are no matter where arrays lie in shared or resizable memory', async () => {
    const { session, handle } = await openSession();
    const expected = await session.predict(dataset(), ORDER, STARTS);
    const shared = (array: Int32Array) => {
      const copy = new Int32Array(new SharedArrayBuffer(array.byteLength));
      copy.set(array);
      return copy;
    };
    const tracking = (array: Int32Array) => {
      const copy = new Int32Array(resizable(array.byteLength, 4 * array.byteLength));
      copy.set(array);
      return copy;
    };
    for (const place of [shared, tracking]) {
      const { ids, offsets, labels, typeIds, positions } = dataset();
      const placed = {
        ...{ ids: place(ids), offsets: place(offsets), labels: place(labels!) },
        ...{ typeIds: place(typeIds!), positions: place(positions!) },
      };
      expect(await session.predict(placed, place(ORDER), STARTS)).to.deep.equal(expected);
      const added = await session.addDataset(placed);
      expect(await session.forward(added, place(ORDER), STARTS)).to.deep.equal(expected);
    }
    expect(handle).to.equal(1);
    await session.dispose();
  });

  it('are refused where a getter disposes of the session in the middle of reading them', async () => {
    const { session, handle } = await openSession();
    const plan = Object.defineProperty({ ...trainPlan(handle) }, 'seed', {
      get: () => {
        void session.dispose();
        return 1;
      },
    });
    expect(await outcomeOf(() => session.train(plan))).to.have.property('code', 'DISPOSED');
  });

  it('are refused by methods that are called on something else', async () => {
    const { session } = await openSession();
    const prototype = Object.getPrototypeOf(session);
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name === 'constructor') continue;
      for (const other of [{}, null, 1, Object.create(prototype), new Proxy(session, {}), loadNative()]) {
        expect(() => prototype[name].call(other, 'a', 'b', 'c'), name).to.throw();
      }
    }
    for (const value of HOSTILE_VALUES) expect(() => new prototype.constructor(value.make())).to.throw();
    await session.dispose();
  });
});

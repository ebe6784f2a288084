import { totalmem } from 'node:os';
import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { loadNative, type NativeParameter, type NativeSession } from '../../lib/native/index.js';
import { loadOperations } from '../operations/addon.js';
import { loraAdapter } from './adapters.js';
import { nativeConfig, type SessionShape } from './shape.js';
import { dataset, initialize, MODEL, openSession, sessionConfig, startsOf, trainPlan } from './support.js';

/*
 * The native boundary on its own, without the checks of lib: whatever is handed to it, a call ends with a result or
 * with a typed error, and the session goes on to work.
 */

const thrown = new Error('thrown by a getter');

const throwing = new Proxy(
  {},
  {
    get() {
      throw thrown;
    },
    ownKeys() {
      throw thrown;
    },
  },
);

function detached(): Int32Array {
  const array = new Int32Array(4);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

/** Values that no argument expects, or that it must check. Made anew: detaching is for good. */
function hostileValues(): unknown[] {
  const shared = new SharedArrayBuffer(16);
  return [
    undefined,
    null,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    -0,
    -1,
    0.5,
    2 ** 31,
    2 ** 32 + 1,
    2 ** 53,
    -(2 ** 53),
    Number.MAX_VALUE,
    10n,
    '',
    'x\0y',
    '1',
    true,
    Symbol('s'),
    {},
    [],
    [1],
    [Symbol('s')],
    Object.assign([], { length: 5 }),
    () => 1,
    throwing,
    new Proxy([], {}),
    new Uint8Array(0),
    new Uint8Array(3),
    new Int32Array(0),
    Int32Array.of(-1),
    Int32Array.of(2 ** 31 - 1),
    Int32Array.of(-(2 ** 31), 0, 3),
    new Int32Array(shared),
    detached(),
    new Float32Array(1),
    new Float64Array(0),
    Float64Array.of(Number.NaN),
    new Float64Array(3),
    new BigInt64Array(1),
    new DataView(new ArrayBuffer(8)),
    new ArrayBuffer(8),
    shared,
  ];
}

function describeValue(value: unknown): string {
  if (value === throwing) return 'a throwing proxy';
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  return `${typeof value} ${typeof value === 'object' ? Object.prototype.toString.call(value) : String(value)}`;
}

/** The error's code; 'thrown' for the getter's own; 'none' where the call succeeds. */
async function outcome(call: () => unknown, close = true): Promise<string> {
  try {
    const result = await call();
    if (close && typeof (result as NativeSession | undefined)?.dispose === 'function') {
      await (result as NativeSession).dispose();
    }
    return 'none';
  } catch (error) {
    if (error === thrown) return 'thrown';
    if (!(error instanceof BertuneError)) return `not a BertuneError: ${error}`;
    expect(error.message).to.match(/^[A-Z]/);
    return error.code;
  }
}

type Path = readonly (string | number)[];

/** A copy of the arguments with one value, at any depth, replaced. */
function replaced(value: unknown, path: Path, replacement: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return replacement;
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) };
  const record = copy as Record<string | number, unknown>;
  record[first] = replaced(record[first], rest, replacement);
  return copy;
}

/** Every place in the arguments that can be replaced: the arguments, their fields, and the fields' fields. */
function places(value: unknown, path: Path = []): Path[] {
  const isPlain = Array.isArray(value) || (typeof value === 'object' && value?.constructor === Object);
  const inner = isPlain
    ? Object.entries(value as object).flatMap(([key, part]) =>
        places(part, [...path, Array.isArray(value) ? Number(key) : key]),
      )
    : [];
  return path.length > 0 ? [path, ...inner] : inner;
}

const ALLOWED = [
  'none',
  'thrown',
  'INVALID_OPTION',
  'INVALID_DATA',
  'NOT_FOUND',
  'SHAPE_MISMATCH',
  'OUT_OF_MEMORY',
  'CUDA_UNAVAILABLE',
];

/** Replaces every value of the arguments by every hostile one, in turn. */
async function abuse(args: readonly unknown[], call: (args: unknown[]) => unknown): Promise<void> {
  let refused = 0;
  for (const path of places(args)) {
    for (const value of hostileValues()) {
      const found = await outcome(() => call(replaced(args, path, value) as unknown[]));
      expect(found, `${path.join('.')} = ${describeValue(value)}`).to.be.oneOf(ALLOWED);
      if (value === throwing) expect(found, path.join('.')).to.be.oneOf(['thrown', 'INVALID_OPTION']);
      if (found !== 'none') refused++;
    }
  }
  for (let count = 0; count < args.length; count++) {
    expect(await outcome(() => call(args.slice(0, count))), `${count} arguments`).to.be.oneOf(ALLOWED);
  }
  expect(refused).to.be.above(20);
}

async function loss(session: NativeSession, handle: number): Promise<number> {
  return (await session.gradients(trainPlan(handle))).loss;
}

describe('the native boundary', () => {
  let session: NativeSession;
  let handle: number;
  let expected: number;

  before(async () => {
    ({ session, handle } = await openSession());
    expected = await loss(session, handle);
    expect(expected).to.be.above(0);
  });

  afterEach(async () => {
    expect(await loss(session, handle)).to.equal(expected);
  });

  after(() => session.dispose());

  // What TypeScript would refuse is the point here.
  const method = (name: keyof NativeSession, on: () => NativeSession = () => session) => {
    return (args: unknown[]) => (on()[name] as (...args: unknown[]) => unknown)(...args);
  };

  it('createSession', async () => {
    await abuse([nativeConfig(sessionConfig())], (args) =>
      (loadNative().createSession as (...args: unknown[]) => unknown)(...args),
    );
  });

  it('read', () => abuse(['classifier.weight', 'value'], method('read')));
  it('write', () => abuse(['bert.pooler.dense.bias', 'm', 'F32', new Uint8Array(64)], method('write')));
  it('addDataset', () => abuse([dataset()], method('addDataset')));
  it('removeDataset', () => abuse([2 ** 31 - 1], method('removeDataset')));
  it('reserve', () => abuse([{ tokens: 64, sequences: 8, training: true }], method('reserve')));
  it('gradients', () => abuse([trainPlan(handle)], method('gradients')));
  it('hiddenStates', () => abuse([handle, Int32Array.of(0, 3), true], method('hiddenStates')));
  it('forward', () => abuse([handle, Int32Array.of(0, 3), startsOf(2, 1)], method('forward')));

  it('addAdapter', async () => {
    await abuse(loraAdapter(), method('addAdapter'));
  });
  it('removeAdapter', () => abuse([2 ** 31 - 1], method('removeAdapter')));
  it('forwardMixed', async () => {
    const adapter = await session.addAdapter(...loraAdapter());
    const args = [handle, Int32Array.of(0, 3), startsOf(2), Int32Array.of(0, adapter)];
    await abuse(args, method('forwardMixed'));
  });

  it('train and initialize, on a session of their own', async () => {
    const other = await openSession();
    await abuse(
      [trainPlan(other.handle)],
      method('train', () => other.session),
    );
    await abuse(
      ['classifier.bias', { distribution: 'normal', scale: 0.1, seed: 1 }],
      method('initialize', () => other.session),
    );
    await other.session.dispose();
  });

  it('runOperation', async () => {
    const tensors = {
      inp: new Float32Array(6),
      weight: new Float32Array(12),
      bias: new Float32Array(4),
      out: new Float32Array(8),
    };
    const where = { device: 'cpu', precision: 'fp32', threads: 2 };
    const run = loadOperations().runOperation as (...args: unknown[]) => unknown;
    await abuse(['linear_forward', where, tensors, { rows: 2, n: 4, k: 3, row_kind: 0 }, 2], (args) => run(...args));
  });

  it('refuses another this', async () => {
    const names = [
      'parameters',
      'memory',
      'read',
      'write',
      'initialize',
      'addDataset',
      'removeDataset',
      'reserve',
    ] as const;
    const more = ['train', 'gradients', 'forward', 'hiddenStates', 'promptEmbeddings', 'abort', 'dispose'] as const;
    for (const name of [...names, ...more]) {
      for (const receiver of [
        undefined,
        {},
        Object.create(session),
        new Float32Array(4),
        loadNative(),
        new Proxy(session, {}),
      ]) {
        expect(() => (session[name] as () => unknown).call(receiver), name).to.throw(Error);
      }
    }
    const Session = Object.getPrototypeOf(session).constructor;
    expect(() => new Session()).to.throw(BertuneError, /createSession/);
    expect(() => new Session({})).to.throw(BertuneError, /createSession/);
    expect(() => Session()).to.throw(Error);
  });

  it('refuses data sets that would lead outside of their arrays', async () => {
    const { ids, offsets, labels } = dataset();
    const wrong: [string, unknown][] = [
      ['a start behind 0', { ids, offsets: offsets.map((at, i) => (i === 0 ? 1 : at)) }],
      ['a start below 0', { ids, offsets: offsets.map((at, i) => (i === 0 ? -5 : at)) }],
      ['falling', { ids, offsets: offsets.map((at, i) => (i === 3 ? 30 : at)) }],
      ['past the end', { ids, offsets: offsets.map((at, i) => (i === 8 ? 37 : at)) }],
      ['short of the end', { ids, offsets: offsets.slice(0, 5) }],
      ['an empty example', { ids, offsets: offsets.map((at, i) => (i === 1 ? 0 : at)) }],
      ['no example', { ids: new Int32Array(0), offsets: new Int32Array(1) }],
      ['nothing', { ids: new Int32Array(0), offsets: new Int32Array(0) }],
      ['too long', { ids: new Int32Array(17), offsets: Int32Array.of(0, 17) }],
      ['an id below 0', { ids: ids.map((id, i) => (i === 9 ? -1 : id)), offsets }],
      ['an id of V', { ids: ids.map((id, i) => (i === 9 ? MODEL.vocabSize : id)), offsets }],
      ['a label of NC', { ids, offsets, labels: labels?.map(() => MODEL.labels) }],
      ['too few labels', { ids, offsets, labels: labels?.slice(1) }],
      ['a type below 0', { ids, offsets, typeIds: ids.map(() => -1) }],
      ['too few types', { ids, offsets, typeIds: new Int32Array(3) }],
    ];
    for (const [what, value] of wrong) {
      const code = await outcome(() => method('addDataset')([value]));
      expect(code, what).to.be.oneOf(['INVALID_DATA', 'INVALID_OPTION']);
    }
  });

  it('refuses an empty order to train on, and gives no logits for one', async () => {
    const empty = { ...trainPlan(handle), order: new Int32Array(0), learningRates: new Float64Array(0) };
    expect(await outcome(() => session.train(empty))).to.equal('INVALID_OPTION');
    expect(await outcome(() => session.gradients(empty))).to.equal('INVALID_OPTION');
    expect(await outcome(() => session.hiddenStates(handle, new Int32Array(0)))).to.equal('INVALID_DATA');
    expect(await session.forward(handle, new Int32Array(0), Int32Array.of(0))).to.have.length(0);
  });

  it('refuses batches that do not rise from the first example to the last', async () => {
    const order = Int32Array.of(3, 1, 2);
    for (const starts of [[], [0], [3], [0, 2], [1, 3], [0, 0, 3], [0, 2, 1, 3], [0, 4], [-1, 3], [0, 3, 3]]) {
      const given = Int32Array.from(starts);
      expect(await outcome(() => session.forward(handle, order, given)), starts.join()).to.equal('INVALID_OPTION');
      expect(await outcome(() => session.predict(dataset(), order, given)), starts.join()).to.equal('INVALID_OPTION');
    }
    expect(await session.forward(handle, order, Int32Array.of(0, 1, 3))).to.have.length(9);
  });

  it('takes an example any number of times, in batches of any size', async () => {
    const order = new Int32Array(3000).fill(7);
    const { losses } = await session.train({
      ...trainPlan(handle),
      order,
      batchSize: 2 ** 20,
      accumulation: 2 ** 10,
      learningRates: new Float64Array(1),
    });
    expect(losses).to.have.length(1);
    expect(losses[0]).to.be.above(0);
  });

  it('stops at a loss that class weights make not finite', async () => {
    for (const weight of [Number.NaN, 0]) {
      const classWeights = new Float64Array(3).fill(weight);
      const { stopped, steps } = await session.train({ ...trainPlan(handle), classWeights });
      expect({ stopped, steps }).to.deep.equal({ stopped: 'non-finite', steps: 0 });
    }
  });

  it('refuses a LoRA target twice, and one that is no linear module', async () => {
    const config = nativeConfig(sessionConfig({ trainable: [] }));
    const { parameters } = config;
    const a = parameters.find(({ part }) => part === 'lora_A')!;
    const moved = (role: NativeParameter['role']) =>
      parameters.map((row) => (row === a ? { ...row, role, layer: -1 } : row));
    for (const rows of [[...parameters, a], moved('word'), moved('embedding_norm'), moved('' as never)]) {
      expect(await outcome(() => loadNative().createSession({ ...config, parameters: rows }))).to.equal(
        'INVALID_OPTION',
      );
    }
  });
});

describe('native models of odd sizes', () => {
  const cases: [string, Partial<SessionShape>][] = [
    [
      'one of everything',
      { model: { ...MODEL, hiddenSize: 1, heads: 1, feedForwardSize: 1, layers: 1, labels: 1, maxPositions: 8 } },
    ],
    ['a probe head of odd size', { model: { ...MODEL, hiddenSize: 5, heads: 5 }, head: 'probe' }],
    ['a probe head of one', { model: { ...MODEL, hiddenSize: 2, heads: 1 }, head: 'probe' }],
    [
      '500 virtual tokens',
      { model: { ...MODEL, maxPositions: 508 }, prefix: { virtualTokens: 500, projection: false } },
    ],
    ['more threads than work', { threads: 64 }],
  ];
  for (const [title, changes] of cases) {
    it(`train with ${title}`, async () => {
      const config = sessionConfig({ lora: null, prefix: null, trainable: [], decay: [], ...changes });
      const probe = await loadNative().createSession(nativeConfig(config));
      const trainable = probe.parameters().map(({ name }) => name);
      await probe.dispose();
      const session = await loadNative().createSession(nativeConfig({ ...config, trainable }));
      await initialize(session);
      const { ids, offsets } = dataset();
      const handle = await session.addDataset({ ids, offsets, labels: new Int32Array(8) });
      const { classWeights, ...plan } = trainPlan(handle, 2);
      expect(classWeights).to.have.length(3); // of three labels, which not every model here has
      const { losses } = await session.train(plan);
      expect([...losses].every(Number.isFinite)).to.equal(true);
      expect(losses).to.have.length(2);
      const logits = await session.forward(handle, Int32Array.of(0, 7), Int32Array.of(0, 1, 2));
      expect([...logits].every(Number.isFinite)).to.equal(true);
      await session.dispose();
    });
  }

  it('fill every position: a text of the greatest length behind a prefix', async () => {
    const model = { ...MODEL, maxPositions: 512 };
    const { session } = await openSession({ model, prefix: { virtualTokens: 20, projection: true } });
    const whole = (length: number) => ({
      ids: new Int32Array(length).fill(3),
      offsets: Int32Array.of(0, length),
      labels: Int32Array.of(1),
    });
    expect(await outcome(() => session.addDataset(whole(493)))).to.equal('INVALID_DATA');
    const handle = await session.addDataset(whole(492));
    const plan = { ...trainPlan(handle), order: Int32Array.of(0) };
    expect((await session.train(plan)).losses[0]).to.be.above(0);
    await session.dispose();
  });

  it('refuse sizes that cannot be computed with', async () => {
    const most = 2 ** 31 - 1;
    const wrong: Partial<typeof MODEL>[] = [
      { heads: 3 },
      { hiddenSize: most, heads: 1 },
      { layers: 5000 },
      { maxPositions: most },
      { feedForwardSize: most },
    ];
    for (const sizes of wrong) {
      const config = sessionConfig({ model: { ...MODEL, ...sizes } });
      expect(await outcome(() => loadNative().createSession(nativeConfig(config))), JSON.stringify(sizes)).to.equal(
        'INVALID_OPTION',
      );
    }
    const tiny = sessionConfig({
      model: { ...MODEL, hiddenSize: 1, heads: 1 },
      head: 'probe',
      lora: null,
      prefix: null,
      trainable: [],
    });
    expect(await outcome(() => loadNative().createSession(nativeConfig(tiny)))).to.equal('INVALID_OPTION');
    const prefix = sessionConfig({ prefix: { virtualTokens: 16, projection: false } });
    expect(await outcome(() => loadNative().createSession(nativeConfig(prefix)))).to.equal('INVALID_OPTION');
  });
});

describe('native memory', () => {
  it('counts what is made of magnitudes', async () => {
    const lora = { modules: ['bert.pooler.dense'], rank: 3, scaling: 1, dropout: 0, dora: true };
    const session = await loadNative().createSession(
      nativeConfig(sessionConfig({ lora, prefix: null, trainable: [] })),
    );
    const { hiddenSize } = MODEL;
    // Norms, scales and scaled rows of B.
    expect(session.memory().activations).to.be.at.least(4 * (2 * hiddenSize + 3 * hiddenSize));
    await session.dispose();
    expect(session.memory().total).to.equal(0);
  });
});

describe('native memory that cannot be had', () => {
  const bare = { lora: null, prefix: null, trainable: [], decay: [] };

  async function messageOf(work: () => Promise<unknown>): Promise<string> {
    try {
      await work();
    } catch (error) {
      expect((error as BertuneError).code).to.equal('OUT_OF_MEMORY');
      return (error as Error).message;
    }
    return expect.fail('Memory was had');
  }

  it('is refused with its size and use, for any size', async () => {
    const gigantic: Partial<typeof MODEL>[] = [
      { vocabSize: 2 ** 31 - 1, hiddenSize: 2 ** 14 },
      { vocabSize: 2 ** 31 - 1, hiddenSize: 2 ** 29, maxPositions: 1 },
      {
        vocabSize: 2 ** 31 - 1,
        hiddenSize: 2 ** 29,
        maxPositions: 1,
        feedForwardSize: 2 ** 31 - 1,
        layers: 4096,
        labels: 2 ** 31 - 1,
      },
      { vocabSize: Math.ceil((totalmem() * 4) / 2 ** 16), hiddenSize: 2 ** 14 },
    ];
    for (const sizes of gigantic) {
      const model = { ...MODEL, ...sizes, heads: 1 };
      for (const precision of ['fp32', 'fp64'] as const) {
        const message = await messageOf(() =>
          loadNative().createSession(nativeConfig(sessionConfig({ ...bare, model, precision }))),
        );
        expect(message, JSON.stringify(sizes)).to.match(/^Expected to allocate \d{11,} bytes for parameters but /);
      }
    }
    const lora = { modules: ['bert.pooler.dense'], rank: 2 ** 31 - 1, scaling: 1, dropout: 0 };
    await messageOf(() =>
      loadNative().createSession(
        nativeConfig(sessionConfig({ ...bare, model: { ...MODEL, hiddenSize: 2 ** 14 }, lora })),
      ),
    );
  });

  it('leaves the session and others as they were', async () => {
    const one = await openSession();
    const other = await openSession();
    const expected = await loss(one.session, one.handle);
    const before = one.session.memory();
    for (const training of [true, false]) {
      for (const tokens of [2 ** 31 - 1, 2 ** 30]) {
        const message = await messageOf(() => one.session.reserve({ tokens, sequences: tokens, training }));
        expect(message).to.match(/^Expected to allocate \d{11,} bytes for activations but /);
        expect(one.session.memory()).to.deep.equal(before);
        expect(await loss(one.session, one.handle)).to.equal(expected);
        expect(await loss(other.session, other.handle)).to.equal(expected);
      }
    }
    const order = Int32Array.of(1, 2);
    expect(await one.session.forward(one.handle, order, startsOf(2, 1))).to.have.length(6);
    expect(await one.session.promptEmbeddings()).to.have.length(2 * 2 * 2 * 16);
    await Promise.all([one.session.dispose(), other.session.dispose()]);
  });

  it('is refused before the first reservation too, which leaves nothing reserved', async () => {
    const { session, handle } = await openSession();
    await messageOf(() => session.reserve({ tokens: 2 ** 31 - 1, sequences: 1, training: false }));
    expect(session.memory().activations).to.equal(0);
    expect(await session.forward(handle, Int32Array.of(0), startsOf(1))).to.have.length(3);
    await session.dispose();
  });
});

import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { EMULATED, EMULATOR_LIBRARY } from '../../bench/support/operations.js';
import {
  loadNative,
  type NativePrecision,
  type NativeSession,
  type NativeTrainPlan,
  type Values,
} from '../../lib/native/index.js';
import { gpus } from '../devices.js';
import { buildDeviceFaults } from '../faults/native/build.js';
import { addExamples, METHODS, MODEL, makeSession, planOfSteps, type Shape } from '../model/tiny-session.js';
import { startsOf } from '../native/support.js';

/*
 * A second stream changes no bit: gradients of weights and the update run beside other work, and whatever order their
 * dependencies allow gives what one stream gives. On the emulated device, work of the second stream runs as early as it may,
 * as late as it may, or at random.
 */

const ONE = { BERTUNE_CUDA_STREAMS: 'one' };
const EAGER = { BERTUNE_CUDA_GRAPHS: 'off' };
const FIRST = { BERTUNE_EMULATED_LAZY: 'first' };
const LAST = { BERTUNE_EMULATED_LAZY: 'last' };
const RANDOM = { BERTUNE_EMULATED_LAZY: '1', BERTUNE_EMULATED_SEED: '5' };
type Environment = Record<string, string>;

/** The first step of its sizes runs kernel by kernel, the second is recorded, the rest are replays of it. */
const STEPS = 4;

interface Case {
  shape: Shape;
  plan?: Partial<NativeTrainPlan>;
  precision?: NativePrecision;
  model?: typeof MODEL;
  /** Defaults to one call of train. */
  work?: (session: NativeSession, plan: NativeTrainPlan) => Promise<Values[]>;
  /** On the emulated device. Defaults to as early and as late as possible. */
  orders?: Environment[];
}

async function trainAtOnce(session: NativeSession, plan: NativeTrainPlan): Promise<Values[]> {
  const { losses, gradNorms } = await session.train(plan);
  return [losses, gradNorms];
}

/** A call for each step, with gradients and an evaluation in between. */
async function trainInPieces(session: NativeSession, plan: NativeTrainPlan): Promise<Values[]> {
  const found: Values[] = [];
  for (let step = 0; step < STEPS; step++) {
    const piece = {
      ...plan,
      order: plan.order.slice(2 * step, 2 * step + 2),
      learningRates: plan.learningRates.slice(step, step + 1),
      firstStep: step,
    };
    found.push(...(await trainAtOnce(session, piece)));
    found.push((await session.gradients(piece)).logits);
    found.push(await session.forward(plan.dataset, Int32Array.of(4, 1), startsOf(2)));
  }
  return found;
}

/** Half of the steps, the rest in another session that gets the weights and the optimizer's state. */
async function trainAndResume(session: NativeSession, plan: NativeTrainPlan): Promise<Values[]> {
  const half = STEPS / 2;
  const part = (from: number): NativeTrainPlan => ({
    ...plan,
    order: plan.order.slice(2 * from, 2 * (from + half)),
    learningRates: plan.learningRates.slice(from, from + half),
    firstStep: from,
  });
  const found = await trainAtOnce(session, part(0));
  const state: [name: string, part: 'value' | 'm' | 'v', values: Values][] = [];
  for (const { name, trainable } of session.parameters()) {
    for (const part of trainable ? (['value', 'm', 'v'] as const) : (['value'] as const))
      state.push([name, part, await session.read(name, part)]);
  }
  await session.train(part(0)); // what is overwritten below
  for (const [name, part, values] of state)
    await session.write(name, part, 'F32', new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return [...found, ...(await trainAtOnce(session, part(half)))];
}

/** The second step's loss is not finite, so it changes no weight, nor do the steps behind it; then a run without it. */
async function trainPastNaN(session: NativeSession, plan: NativeTrainPlan): Promise<Values[]> {
  const name = 'bert.embeddings.position_embeddings.weight';
  const C = MODEL.hiddenSize;
  const setLastPosition = async (value: number): Promise<void> => {
    const rows = Float32Array.from(await session.read(name, 'value'));
    rows.fill(value, 7 * C, 8 * C); // of the longest example, number 2, alone
    await session.write(name, 'value', 'F32', new Uint8Array(rows.buffer));
  };
  await setLastPosition(Number.NaN);
  const failed = await session.train({ ...plan, order: Int32Array.of(0, 3, 2, 1, 4, 0, 3, 1) });
  expect(failed.stopped).to.equal('non-finite');
  expect(failed.losses.length).to.equal(2);
  await setLastPosition(0);
  return [failed.losses, failed.gradNorms, ...(await trainAtOnce(session, { ...plan, firstStep: STEPS }))];
}

/** Every bit that a session has after its work. */
async function bitsOf({ shape, plan, model = MODEL, precision = 'fp32', work = trainAtOnce }: Case, device: string) {
  const session = await makeSession(shape, 1, model, { device, precision } as const);
  try {
    const dataset = await addExamples(session);
    const bits = await work(session, planOfSteps(STEPS, dataset, plan));
    for (const { name, trainable } of session.parameters()) {
      bits.push(await session.read(name, 'value'));
      if (trainable) bits.push(await session.read(name, 'm'), await session.read(name, 'v'));
    }
    bits.push(await session.forward(dataset, Int32Array.of(4, 1), startsOf(2)));
    return bits;
  } finally {
    await session.dispose();
  }
}

async function within<T>(environment: Environment, work: () => Promise<T>): Promise<T> {
  Object.assign(process.env, environment);
  try {
    return await work();
  } finally {
    for (const name of Object.keys(environment)) delete process.env[name];
  }
}

const shapeOf = (method: string): Shape => METHODS[method]!;
const FULL: Case = { shape: shapeOf('full'), precision: 'bf16' };

const CASES: Record<string, Case> = {
  'full fine-tuning': { ...FULL, orders: [FIRST, LAST, RANDOM, { ...FIRST, ...EAGER }, { ...LAST, ...EAGER }] },
  'micro-batches that add up': {
    shape: shapeOf('full'),
    plan: { batchSize: 1, accumulation: 2 },
    orders: [FIRST, LAST, { ...LAST, ...EAGER }],
  },
  'layers that run again': { shape: shapeOf('full'), plan: { gradientCheckpointing: true } },
  'a frozen half': { shape: shapeOf('full, lower half frozen') },
  'a probe on a trained encoder': { shape: shapeOf('full under a probe'), orders: [LAST] },
  'weights without biases': {
    shape: { ...shapeOf('full'), trains: (name) => /(query|key|dense)\.weight$/.test(name) },
  },
  'one weight': { shape: shapeOf('one middle weight alone') },
  'calls between steps': { shape: shapeOf('full'), work: trainInPieces, orders: [LAST] },
  'a run that is resumed': { shape: shapeOf('full'), work: trainAndResume, orders: [LAST] },
  'a loss that is not finite': { shape: shapeOf('full'), work: trainPastNaN },
  LoRA: { shape: shapeOf('LoRA on every Linear'), orders: [LAST] },
  DoRA: { shape: shapeOf('DoRA on every Linear'), orders: [LAST] },
  'prefix tuning': { shape: shapeOf('prefix with projection') },
};

for (const { device } of gpus()) {
  const isEmulated = device === EMULATED;
  describe(`two streams on ${device}`, () => {
    for (const [name, setting] of Object.entries(CASES)) {
      it(`give what one gives: ${name}`, async () => {
        const expected = await within(ONE, () => bitsOf(setting, device));
        const orders = isEmulated ? (setting.orders ?? [FIRST, LAST]) : [{}, EAGER];
        for (const order of orders) {
          expect(await within(order, () => bitsOf(setting, device)), JSON.stringify(order)).to.deep.equal(expected);
        }
      });
    }

    it('give it to two sessions at once', async () => {
      const other: Case = { ...FULL, plan: { seed: 5 } };
      const expected = await within(ONE, async () => [await bitsOf(FULL, device), await bitsOf(other, device)]);
      const found = await within(isEmulated ? LAST : {}, () =>
        Promise.all([bitsOf(FULL, device), bitsOf(other, device)]),
      );
      expect(found).to.deep.equal(expected);
    });
  });
}

(gpus().some(({ device }) => device === EMULATED) ? describe : describe.skip)('two emulated streams', function () {
  this.timeout(600_000); // in the emulator's stricter builds
  const [CALL, ALLOCATION, WAIT] = [1, 3, 4];
  let folder: string;
  let fail: (kind: number, n: number) => number;
  const leaveOut = (n: number): number => fail(WAIT, n);
  const warnings: string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-streams-'));
    const faults = createRequire(import.meta.url)(await buildDeviceFaults(folder)) as {
      fail(library: string, kind: number, n: number): number;
    };
    fail = (kind, n) => faults.fail(EMULATOR_LIBRARY, kind, n);
    loadNative().setWarningHandler((message) => warnings.push(message));
  });
  after(async () => {
    loadNative().setWarningHandler((message) => process.emitWarning(message, 'BertuneWarning'));
    await rm(folder, { recursive: true, force: true });
  });

  it('have a workspace of cuBLASLt each, as large as what is multiplied there needs', async () => {
    const model = { ...MODEL, hiddenSize: 64, feedForwardSize: 256 };
    const train = async (environment: Environment, needed: number) => {
      const setting = { ...environment, BERTUNE_EMULATED_CUBLASLT: `workspace=${needed}` };
      let workspace = 0;
      const work = async (session: NativeSession, plan: NativeTrainPlan) => {
        const found = await trainAtOnce(session, plan);
        found.push(...(await trainAtOnce(session, plan)));
        workspace = session.memory().workspace; // as the second call found it
        return found;
      };
      const bits = await within(setting, () => bitsOf({ ...FULL, model, work }, EMULATED));
      return { bits, workspace };
    };
    const one = await train(ONE, 3 << 20);
    const two = await train(LAST, 3 << 20);
    expect(two.bits).to.deep.equal(one.bits);
    expect(two.workspace - one.workspace, 'the next power of two').to.equal(4 << 20);
    expect((await train(LAST, 0)).workspace, 'where nothing is needed').to.equal(one.workspace);
  });

  it('need each wait: without it bits change, or the step cannot be recorded', async () => {
    const learningRates = new Float64Array(3).fill(2e-3);
    const setting: Case = { shape: shapeOf('full'), plan: { order: Int32Array.of(0, 3, 1, 4, 2, 0), learningRates } };
    const expected = await within(ONE, () => bitsOf(setting, EMULATED));
    const isNoticed = async (n: number, order: Environment): Promise<boolean> => {
      leaveOut(n);
      warnings.length = 0;
      const bits = await within(order, () => bitsOf(setting, EMULATED));
      return warnings.length > 0 || bits.some((values, i) => values.some((value, j) => value !== expected[i]![j]));
    };
    leaveOut(0);
    await bitsOf(setting, EMULATED);
    const waits = leaveOut(0) / 2; // of each of the two steps that are not replayed
    expect(waits).to.equal(25);
    const unnoticed: number[] = [];
    for (let n = 1; n <= waits; n++) {
      // Of the second step, which is recorded.
      if (!(await isNoticed(waits + n, FIRST)) && !(await isNoticed(waits + n, LAST))) unnoticed.push(n);
    }
    leaveOut(0);
    // Parts of the update behind the first, and the last layer's key and value behind its query: nothing else runs in between.
    expect(unnoticed).to.deep.equal([2, 3, 4, 15, 16]);
  });

  /** The message of what a call of train fails with where the n-th of a kind fails in it, and what another leaves then. */
  async function trainTwice(kind: number, n: number, plan: Partial<NativeTrainPlan>) {
    let message = '';
    const work = async (session: NativeSession, whole: NativeTrainPlan): Promise<Values[]> => {
      fail(kind, n);
      await session.train(whole).catch((error: Error) => {
        message = error.message;
      });
      fail(kind, 0);
      return kind === CALL ? [] : trainAtOnce(session, whole);
    };
    return { message: () => message, bits: bitsOf({ shape: shapeOf('full'), plan, work }, EMULATED) };
  }

  it('go on recording after a step without memory for the late updates of its embeddings', async () => {
    warnings.length = 0;
    const plan = { batchSize: 1, accumulation: 2 };
    const expected = await within(ONE, () => bitsOf({ shape: shapeOf('full'), plan }, EMULATED));
    for (let n = 1, message = ''; !message.includes('the last updates of rows'); n++) {
      const run = await trainTwice(ALLOCATION, n, plan);
      expect(await run.bits).to.deep.equal(expected);
      message = run.message();
      expect(message).to.include('device memory for');
    }
    expect(warnings).to.deep.equal([]);
  });

  it('report an event that cannot be made', async () => {
    const plan = { order: Int32Array.of(0, 3), learningRates: new Float64Array(1) };
    let events = 0;
    for (let n = 1; events < 2; n++) {
      const run = await trainTwice(CALL, n, plan);
      await run.bits.catch(() => {});
      expect(run.message(), `call ${n}`).to.not.equal('');
      if (run.message().includes('cudaEventCreate')) events += 1;
    }
  });
});

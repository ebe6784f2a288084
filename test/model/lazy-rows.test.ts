import { expect } from 'chai';
import type { NativePrecision, NativeSession, NativeTrainPlan } from '../../lib/native/index.js';
import { devices } from '../devices.js';
import type { ModelShape } from '../native/shape.js';
import { loadOperations } from '../operations/addon.js';
import { expectSameBits, Random, type Tensors } from '../operations/harness.js';
import { MODEL, makePlan, makeSession } from './tiny-session.js';

/*
 * Most rows of the word embeddings are updated late (native/cpu/lazy_rows.h, native/cuda/lazy_rows.h). Here a table that
 * trains in a session is held to the bits of one whose every element is updated in every step by the operation adamw,
 * from the same gradients, and to the formula.
 */

const WORD = 'bert.embeddings.word_embeddings.weight';
const BETA1 = 0.6; // moments fade within the test
const EXAMPLES = 40;
const LENGTH = 6;

interface Setting {
  title: string;
  device: string;
  /** Rows of the table, elements of a row. */
  V: number;
  C: number;
  precision: NativePrecision;
  threads: number;
  decays: boolean;
}

const CPU: readonly Omit<Setting, 'device'>[] = [
  { title: 'rows that blocks and vectors cut', V: 301, C: 20, precision: 'fp32', threads: 1, decays: true },
  { title: 'three threads', V: 301, C: 20, precision: 'fp32', threads: 3, decays: true },
  { title: 'rows of more than a chunk', V: 130, C: 276, precision: 'fp32', threads: 2, decays: true },
  { title: 'without decay', V: 301, C: 16, precision: 'fp32', threads: 2, decays: false },
  { title: 'fewer rows than a sweep has parts', V: 23, C: 16, precision: 'fp32', threads: 2, decays: true },
  { title: 'in double', V: 301, C: 20, precision: 'fp64', threads: 2, decays: true },
];

const GPU: readonly Omit<Setting, 'device'>[] = [
  { title: 'rows that blocks cut', V: 301, C: 24, precision: 'fp32', threads: 1, decays: true },
  { title: 'weights with low bits', V: 301, C: 16, precision: 'bf16', threads: 1, decays: true },
  { title: 'without decay', V: 301, C: 16, precision: 'fp32', threads: 1, decays: false },
  { title: 'fewer rows than a sweep has parts', V: 23, C: 16, precision: 'fp32', threads: 1, decays: true },
];

const SETTINGS: readonly Setting[] = devices().flatMap(({ device }) =>
  (device === 'cpu' ? CPU : GPU).map((setting) => ({ ...setting, device })),
);

/** One of each device. */
const SOME: readonly Setting[] = SETTINGS.filter(
  ({ title }) => title === 'three threads' || title.includes('low bits'),
);

const shapeOf = ({ V, C }: Setting): ModelShape => ({
  ...MODEL,
  vocabSize: V,
  hiddenSize: C,
  padTokenId: 2,
  layers: 1,
});

/** A session that trains its word embeddings alone, so that their gradient's norm is all there is to clip by. */
async function openTable(setting: Setting) {
  const { device, precision, threads, decays, V } = setting;
  const session = await makeSession(
    { head: 'classifier', lora: null, prefix: null, trains: (name) => name === WORD, decays: () => decays },
    threads,
    shapeOf(setting),
    { device, precision },
  );
  const random = new Random(V);
  // Some rows are met in many examples, most in one or in none.
  const ids = Int32Array.from({ length: EXAMPLES * LENGTH }, () => Math.floor(V * random.next() ** 3));
  const offsets = Int32Array.from({ length: EXAMPLES + 1 }, (_, i) => i * LENGTH);
  const labels = random.integers(EXAMPLES, MODEL.labels);
  return { session, dataset: await session.addDataset({ ids, offsets, labels }), met: new Set(ids) };
}

/** The table as it is where each update runs over all of it. */
class DenseTable {
  readonly tensors: Tensors = {};

  constructor(private readonly setting: Setting) {}

  async read(session: NativeSession): Promise<void> {
    for (const [name, part] of Object.entries({ 'master.0': 'value', 'm.0': 'm', 'v.0': 'v' } as const)) {
      this.tensors[name] = Float64Array.from(await session.read(WORD, part));
    }
  }

  /** The update of a session's last step. */
  async update(session: NativeSession, plan: NativeTrainPlan): Promise<void> {
    const { device, precision, threads, decays } = this.setting;
    this.tensors['grad.0'] = Float64Array.from(await session.read(WORD, 'gradient'));
    this.tensors.loss = Float64Array.of(1);
    this.tensors.norm = Float64Array.of(0);
    const sizes = {
      segments: 1,
      'decay.0': Number(decays),
      beta1: plan.beta1,
      beta2: plan.beta2,
      eps: plan.eps,
      weight_decay: plan.weightDecay,
      max_grad_norm: plan.maxGradNorm,
      learning_rate: plan.learningRates[0]!,
      step: plan.firstStep + 1,
    };
    await loadOperations().runOperation('adamw', { device, precision, threads }, this.tensors, sizes, 1);
  }

  async expectSame(session: NativeSession, what: string): Promise<void> {
    const found = new DenseTable(this.setting);
    await found.read(session);
    const { 'master.0': p, 'm.0': m, 'v.0': v } = this.tensors;
    expectSameBits(found.tensors, { 'master.0': p!, 'm.0': m!, 'v.0': v! }, what);
  }
}

/** Step `step`, on examples and with a learning rate of its own. */
function planOf(dataset: number, step: number, changes: Partial<NativeTrainPlan> = {}): NativeTrainPlan {
  const random = new Random(step);
  return makePlan(dataset, {
    order: random.integers(3, EXAMPLES),
    batchSize: 3,
    learningRates: Float64Array.of(1e-2 * random.next()),
    firstStep: step,
    weightDecay: 0.1,
    beta1: BETA1,
    maxGradNorm: 0.05,
    ...changes,
  });
}

async function train(session: NativeSession, dense: DenseTable, plan: NativeTrainPlan): Promise<void> {
  const { stopped } = await session.train(plan);
  expect(stopped).to.equal('done');
  await dense.update(session, plan);
}

async function write(session: NativeSession, part: 'value' | 'm' | 'v', values: Float64Array): Promise<void> {
  await session.write(WORD, part, 'F64', new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

const bitsOf = (values: ArrayBufferView): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');

/** Batches of one example each, of a few that meet rows that were not met for long. */
const forward = (session: NativeSession, dataset: number) =>
  session.forward(dataset, Int32Array.of(7, 31, 12, 39), Int32Array.of(0, 1, 2, 4));

describe('word embeddings that are updated late', function () {
  this.timeout(120_000);

  for (const setting of SETTINGS) {
    it(`have the bits of those updated in every step: ${setting.title}, ${setting.device}`, async () => {
      const { session, dataset } = await openTable(setting);
      const dense = new DenseTable(setting);
      await dense.read(session);
      const steps = setting.device === 'cpu' ? 200 : 70;
      for (let step = 0; step < steps; step++) await train(session, dense, planOf(dataset, step));
      const m = dense.tensors['m.0'] as Float64Array;
      expect(m.includes(0) && m.some((value) => value !== 0)).to.equal(true);
      await dense.expectSame(session, setting.title);
      await session.dispose();
    });
  }

  for (const setting of SOME) {
    it(`are up to date for whoever reads or writes them between steps on ${setting.device}`, async () => {
      const { session, dataset } = await openTable(setting);
      const fresh = await openTable(setting);
      const dense = new DenseTable(setting);
      const random = new Random(3);
      const count = setting.V * setting.C;
      // As from a checkpoint: moments of rows that no text has, zeros of either sign, faded ones, and rows of zeros alone.
      const isZero = (i: number): boolean => Math.floor(i / setting.C) % 3 === 0;
      const m = random.normal(count, 1e-3).map((x, i) => (isZero(i) ? -0 : [x, 0, -0, x * 1e-26][i % 4]!));
      const v = random
        .normal(count, 1e-3)
        .map((x, i) => (i % 5 === 0 || Math.floor(i / setting.C) % 6 === 0 ? -0 : x * x));
      await write(session, 'm', m);
      await write(session, 'v', v);
      await dense.read(session);

      for (let step = 0; step < 150; step++) {
        await train(session, dense, planOf(dataset, step, step % 7 === 0 ? { accumulation: 3, batchSize: 1 } : {}));
        const what = `step ${step}`;
        if (step % 13 === 0) {
          await write(fresh.session, 'value', dense.tensors['master.0'] as Float64Array);
          const expected = await forward(fresh.session, fresh.dataset);
          expect(bitsOf(await forward(session, dataset)), what).to.equal(bitsOf(expected));
        }
        if (step % 17 === 0) await session.gradients(planOf(dataset, step + 1000));
        if (step % 40 === 39) {
          const [part, name] = (
            [
              ['value', 'master.0'],
              ['m', 'm.0'],
              ['v', 'v.0'],
            ] as const
          )[Math.floor(step / 40)]!;
          const values = (dense.tensors[name] as Float64Array).map((x) => x * 0.75);
          await write(session, part, values);
          dense.tensors[name] = values;
        }
        if (step % 50 === 20) await dense.expectSame(session, what);
      }
      await dense.expectSame(session, 'the end');
      await session.dispose();
      await fresh.session.dispose();
    });

    it(`take other settings between steps, and an eps of 0, on ${setting.device}`, async () => {
      const { session, dataset, met } = await openTable(setting);
      const dense = new DenseTable(setting);
      // Of rows that no text has it stays 0, and 0 / 0 makes them NaN.
      const v = new Float64Array(setting.V * setting.C).map((_, i) => (met.has(Math.floor(i / setting.C)) ? 1e-4 : 0));
      await write(session, 'v', v);
      await dense.read(session);
      for (let step = 0; step < 120; step++) {
        const changes = [{ eps: 0 }, { beta1: 0 }, { beta2: 0.5 }, { weightDecay: 0 }, { maxGradNorm: 0 }][step % 10];
        await train(session, dense, planOf(dataset, step, changes));
      }
      await dense.expectSame(session, 'the end');
      await session.dispose();
    });

    it(`miss nothing where a run was halted on ${setting.device}`, async () => {
      const { session, dataset } = await openTable(setting);
      const dense = new DenseTable(setting);
      await dense.read(session);
      const classifier = await session.read('classifier.weight', 'value');
      const writeClassifier = (values: Float32Array | Float64Array) =>
        session.write('classifier.weight', 'value', 'F32', new Uint8Array(Float32Array.from(values).buffer));
      for (let step = 0; step < 80; step++) {
        if (step % 20 === 10) {
          await writeClassifier(classifier.map(() => Number.NaN));
          expect((await session.train(planOf(dataset, step))).stopped).to.equal('non-finite');
          await writeClassifier(classifier);
        }
        await train(session, dense, planOf(dataset, step));
      }
      await dense.expectSame(session, 'the end');
      await session.dispose();
    });
  }

  it('follow the formula', async () => {
    const setting = { ...CPU.find(({ precision }) => precision === 'fp64')!, device: 'cpu' };
    const { session, dataset } = await openTable(setting);
    const [p, m, v] = [await session.read(WORD, 'value'), new Float64Array(6020), new Float64Array(6020)];
    for (let step = 0; step < 100; step++) {
      const plan = planOf(dataset, step);
      const [lr, t] = [plan.learningRates[0]!, step + 1];
      const { gradNorms } = await session.train(plan);
      const clip = Math.min(1, plan.maxGradNorm / (gradNorms[0]! + 1e-6));
      for (const [i, gradient] of (await session.read(WORD, 'gradient')).entries()) {
        const g = gradient * clip;
        m[i] = BETA1 * m[i]! + (1 - BETA1) * g;
        v[i] = plan.beta2 * v[i]! + (1 - plan.beta2) * g * g;
        const update = m[i]! / (1 - BETA1 ** t) / (Math.sqrt(v[i]! / (1 - plan.beta2 ** t)) + plan.eps);
        p[i] = p[i]! * (1 - lr * plan.weightDecay) - lr * update;
      }
    }
    for (const [i, found] of (await session.read(WORD, 'value')).entries()) {
      expect(found, `element ${i}`).to.be.closeTo(p[i]!, 1e-12);
    }
    await session.dispose();
  });
});

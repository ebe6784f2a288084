import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { EMULATED, EMULATOR_LIBRARY } from '../../bench/support/operations.js';
import { loadNative, type NativePrecision, type NativeSession, type NativeTrainPlan, type Values } from '../../lib/native/index.js';
import { gpus } from '../devices.js';
import { buildDeviceFaults } from '../faults/native/build.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession, type Shape } from '../model/tiny-session.js';
import { startsOf } from '../native/support.js';

/*
 * A second stream changes no bit: gradients of weights and the update run beside other work, and whatever order their
 * dependencies allow gives what one stream gives. On the emulated device, work of the second stream runs as early as it may,
 * as late as it may, or at random.
 */

const ONE = { BERTUNE_CUDA_STREAMS: 'one' };
const ORDERS: Record<string, Record<string, string>> = {
  'in order': {},
  'as early as possible': { BERTUNE_EMULATED_LAZY: 'first' },
  'as late as possible': { BERTUNE_EMULATED_LAZY: 'last' },
  'at random': { BERTUNE_EMULATED_LAZY: '1', BERTUNE_EMULATED_SEED: '5' },
};

const STEPS = 5;

interface Case {
  method: string;
  plan?: Partial<NativeTrainPlan>;
  precision?: NativePrecision;
  /** Defaults to one call of train. */
  work?: (session: NativeSession, plan: NativeTrainPlan) => Promise<Values[]>;
}

/** Two examples a micro-batch; the first steps have the same sizes, so they are recorded and replayed. */
function planOf(dataset: number, overrides: Partial<NativeTrainPlan> = {}): NativeTrainPlan {
  return makePlan(dataset, {
    order: Int32Array.from({ length: 2 * STEPS }, (_, i) => (3 * i + Math.floor(i / 5)) % 5),
    batchSize: 2,
    learningRates: Float64Array.from({ length: STEPS }, (_, i) => 2e-3 * (1 - i / STEPS)),
    firstStep: 0,
    weightDecay: 0.05,
    maxGradNorm: 1,
    ...overrides,
  });
}

async function trainAtOnce(session: NativeSession, plan: NativeTrainPlan): Promise<Values[]> {
  const { losses, gradNorms } = await session.train(plan);
  return [losses, gradNorms];
}

/** A call for each step, with an evaluation, a prediction and gradients in between. */
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
    found.push(await session.forward(plan.dataset, Int32Array.of(4, 1, 0), startsOf(3, 2)));
    found.push((await session.gradients(piece)).logits);
  }
  return found;
}

/** A step whose loss is not finite, and others after it; then the run goes on with a finite one. */
async function trainPastInfinity(session: NativeSession, plan: NativeTrainPlan): Promise<Values[]> {
  const classWeights = Float64Array.of(1, Number.MAX_VALUE, 1); // example 2 alone is of this class in the first steps
  const failed = await session.train({ ...plan, classWeights });
  expect(failed.stopped).to.equal('non-finite');
  return [failed.losses, failed.gradNorms, ...(await trainAtOnce(session, { ...plan, firstStep: STEPS }))];
}

/** Every bit that a session has after its work. */
async function bitsOf({ method, plan, precision = 'fp32', work = trainAtOnce }: Case, device: string): Promise<Values[]> {
  const session = await makeSession(METHODS[method] as Shape, 1, MODEL, { device, precision } as const);
  try {
    const dataset = await addExamples(session);
    const bits = await work(session, planOf(dataset, plan));
    for (const { name, trainable } of session.parameters()) {
      bits.push(await session.read(name, 'value'));
      if (trainable) bits.push(await session.read(name, 'm'), await session.read(name, 'v'));
    }
    bits.push(await session.forward(dataset, Int32Array.of(4, 1, 0, 3, 2), startsOf(5, 2)));
    return bits;
  } finally {
    await session.dispose();
  }
}

async function within<T>(environment: Record<string, string>, work: () => Promise<T>): Promise<T> {
  Object.assign(process.env, environment);
  try {
    return await work();
  } finally {
    for (const name of Object.keys(environment)) delete process.env[name];
  }
}

const CASES: Record<string, Case> = {
  'full fine-tuning': { method: 'full' },
  'full fine-tuning in bf16': { method: 'full', precision: 'bf16' },
  'micro-batches that add up': { method: 'full', plan: { batchSize: 1, accumulation: 2 } },
  'layers that run again': { method: 'full', plan: { gradientCheckpointing: true } },
  'a frozen half': { method: 'full, lower half frozen' },
  'a probe on a trained encoder': { method: 'full under a probe' },
  'one weight': { method: 'one middle weight alone' },
  'calls between steps': { method: 'full', work: trainInPieces },
  'a loss that is not finite': { method: 'full', work: trainPastInfinity },
  LoRA: { method: 'LoRA on every Linear' },
  DoRA: { method: 'DoRA on every Linear', plan: { batchSize: 1, accumulation: 2 } },
  'prefix tuning': { method: 'prefix with projection' },
};

for (const { device } of gpus()) {
  const emulated = device === EMULATED;
  describe(`two streams on ${device}`, () => {
    for (const [name, setting] of Object.entries(CASES)) {
      it(`give what one gives: ${name}`, async () => {
        const expected = await within(ONE, () => bitsOf(setting, device));
        for (const [order, environment] of Object.entries(ORDERS)) {
          if (order !== 'in order' && !emulated) continue;
          expect(await within(environment, () => bitsOf(setting, device)), order).to.deep.equal(expected);
          const eager = { ...environment, BERTUNE_CUDA_GRAPHS: 'off' };
          expect(await within(eager, () => bitsOf(setting, device)), `${order}, not recorded`).to.deep.equal(expected);
        }
      });
    }
  });
}

import { expect } from 'chai';
import fc from 'fast-check';
import { devices, gpus } from '../devices.js';
import {
  type Gradients,
  LAYER_LINEARS,
  namesOf,
  RandomSession,
  type RandomSizes,
  type RandomTraining,
  randomTraining,
  type Values,
} from '../model/random-training.js';
import { LONG, note, scaled } from './scale.js';

/*
 * Backward reads, on its way to what trains, some of what forward wrote. That is kept; later layers overwrite the rest. So
 * whatever is frozen, what trains must have the gradients that it has in the same model with everything trained, and those
 * are the slopes of the loss.
 */

type Where = Parameters<typeof RandomSession.make>[1];

const DOUBLE: Where = { device: 'cpu', precision: 'fp64' };

/** What rounding makes of a gradient where other products of matrices are joined into one. */
const TOLERANCE = { fp64: 1e-12, fp32: 1e-5, tf32: 1e-2, bf16: 5e-2 };

/** What rounding to fp32 makes of gradients. */
const SINGLE_TOLERANCE = 2e-3;

/** What finite differences are off by at most; where a buffer was overwritten, gradients are off by far more. */
const SLOPE_TOLERANCE = 1e-3;

const largestOf = (gradients: Iterable<Values>): number =>
  Math.max(...[...gradients].flatMap((values) => Array.from(values, Math.abs)));

/** The largest difference, relative to the largest magnitude expected; what is much smaller than `largest` is noise. */
function difference(found: Values, expected: Values, largest: number): number {
  let distance = 0;
  let size = 1e-2 * largest;
  expected.forEach((value, i) => {
    const apart = Math.abs(found[i]! - value);
    if (!(apart <= distance)) distance = apart;
    size = Math.max(size, Math.abs(value));
  });
  return distance / (size || 1);
}

function expectEqual(found: Gradients, expected: Gradients, tolerance: number): void {
  expect(Math.abs(found.loss - expected.loss), 'loss').to.be.at.most(tolerance * Math.max(1, expected.loss));
  for (const part of ['batch', 'step'] as const) {
    const largest = largestOf(expected[part].values());
    for (const [name, values] of found[part]) {
      expect(difference(values, expected[part].get(name)!, largest), `${name} (${part})`).to.be.at.most(tolerance);
    }
  }
}

async function gradientsOf(run: RandomTraining, where: Where, trains: 'drawn' | 'everything'): Promise<Gradients> {
  const session = await RandomSession.make(run, where, trains);
  const gradients = await session.gradients();
  await session.dispose();
  return gradients;
}

/** In double: the gradients are the slopes of the loss. */
async function expectSlopes(run: RandomTraining): Promise<void> {
  const session = await RandomSession.make(run, DOUBLE, 'drawn');
  const { batch } = await session.gradients();
  const largest = largestOf(batch.values());
  for (const parameter of session.trainable) {
    const direction = session.direction(parameter);
    const expected = direction.reduce((sum, part, i) => sum + part * batch.get(parameter.name)![i]!, 0);
    let error = Number.POSITIVE_INFINITY;
    // A smaller step where the first one goes over the edge of a ReLU.
    for (const step of [1e-4, 1e-5, 1e-6]) {
      const slope = await session.slope(parameter.name, direction, step);
      error = Math.min(error, Math.abs(slope - expected) / (1e-2 * largest + Math.abs(expected) + 1e-6));
      if (error < SLOPE_TOLERANCE) break;
    }
    expect(error, parameter.name).to.be.below(SLOPE_TOLERANCE);
  }
  await session.dispose();
}

const METHODS: Record<string, RandomTraining['method']> = {
  full: { kind: 'full' },
  linear: { kind: 'linear' },
  'prefix with projection': { kind: 'prefix', virtualTokens: 2, projection: true, head: true },
  'prefix without projection': { kind: 'prefix', virtualTokens: 2, projection: false, head: true },
  'LoRA on every Linear': {
    kind: 'lora',
    rank: 2,
    modules: { layers: [0, 1, 2], names: [...LAYER_LINEARS], outer: true },
    head: true,
  },
};

const MODEL: Omit<RandomTraining, 'method'> = {
  family: 'bert',
  embeddingSize: 6,
  activation: 'gelu',
  layers: 3,
  heads: 2,
  headSize: 4,
  feedForwardSize: 12,
  labels: 3,
  padTokenId: -1,
  dropout: { hidden: 0.1, attention: 0.1, classifier: 0.1, probe: 0.1, lora: 0.1 },
  trains: { rule: 'method', parts: [] },
  lengths: [3, 1, 5],
  spare: 0,
  order: [2, 0, 1, 1],
  batchSize: 3,
  accumulation: 2,
  gradientCheckpointing: true,
  threads: 1,
  seed: 3,
};

const seed = Number(process.env.BERTUNE_FUZZ_SEED ?? (LONG ? Date.now() % 2 ** 31 : 7));

function check(sizes: RandomSizes, runs: number, property: (run: RandomTraining) => Promise<void>): Promise<void> {
  return fc.assert(fc.asyncProperty(randomTraining(sizes), property), { numRuns: runs, seed });
}

describe('gradients, whatever is frozen', function () {
  this.timeout(LONG ? 7_200_000 : 300_000);

  it('are the slopes of the loss', async () => {
    const runs = scaled(40, 6_000);
    await check({ layers: 5, examples: 4, length: 6 }, runs, expectSlopes);
    note('gradients: random models and frozen parts, against finite differences', runs);
  });

  async function expectSameAlone(run: RandomTraining, where: Where, tolerance: number): Promise<void> {
    const expected = await gradientsOf(run, where, 'everything');
    const names = await namesOf(run);
    for (const parameter of names) {
      const alone: RandomTraining = { ...run, trains: { rule: 'only', parts: [parameter] } };
      const found = await gradientsOf(alone, where, 'drawn');
      expect([...found.batch.keys()]).to.deep.equal([parameter]);
      expectEqual(found, expected, tolerance);
    }
    note('gradients: parameters trained alone', names.length);
  }

  for (const [name, method] of Object.entries(METHODS)) {
    it(`are the same where one parameter trains alone: ${name}`, () =>
      expectSameAlone({ ...MODEL, method }, DOUBLE, TOLERANCE.fp64));
  }

  for (const { device } of LONG ? gpus() : []) {
    it(`are the same where one parameter trains alone, on ${device}`, () =>
      expectSameAlone({ ...MODEL, method: METHODS.full! }, { device, precision: 'fp32' }, TOLERANCE.fp32));
  }

  for (const { device, precisions } of devices()) {
    const emulated = device === 'cuda-emulated';
    const runs = emulated ? scaled(6, 1_000) : scaled(60, 20_000);
    const sizes = emulated ? { layers: 4, examples: 3, length: 4 } : { layers: 5, examples: 5, length: 9 };
    for (const precision of precisions) {
      if (precision === 'int8') continue; // predicts alone
      it(`are those of the model with everything trained, on ${device} in ${precision}`, async () => {
        await check(sizes, runs, async (run) => {
          const expected = await gradientsOf(run, { device, precision }, 'everything');
          expectEqual(await gradientsOf(run, { device, precision }, 'drawn'), expected, TOLERANCE[precision]);
          if (precision !== 'fp32') return;
          expectEqual(expected, await gradientsOf(run, DOUBLE, 'everything'), SINGLE_TOLERANCE);
        });
        note(`gradients: random models and frozen parts, on ${device} in ${precision}`, runs);
      });
    }
  }
});

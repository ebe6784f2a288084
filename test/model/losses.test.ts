import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { binaryCrossEntropy, crossEntropy } from '../../lib/metrics/single-label.js';
import type {
  NativeDataset,
  NativeLoss,
  NativeSession,
  NativeSessionConfig,
  NativeTrainPlan,
} from '../../lib/native/index.js';
import { devices } from '../devices.js';
import { relativeError } from './support.js';
import { addExamples, LABELS, METHODS, MODEL, makePlan, makeSession, type Shape } from './tiny-session.js';

/*
 * Whole models under the losses of multi-label classification and of regression. Their operations are proved by
 * themselves; here the data set's targets, the weights and the count of what is right have to reach them.
 */

type Place = Pick<NativeSessionConfig, 'device' | 'precision'>;

const DOUBLE: Place = { device: 'cpu', precision: 'fp64' };
const NC = MODEL.labels;
const TARGETS: Record<Exclude<NativeLoss, 'cross_entropy'>, Float32Array> = {
  binary_cross_entropy: Float32Array.of(0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0.25),
  mean_squared_error: Float32Array.of(0.5, -1, 2, 0, 0.125, 3, -4, 1, 1.5, 0, 0, 0, 2, -2, 0.25),
};
const POSITIVE_WEIGHTS = Float64Array.of(2, 0.5, 3);
const CLASS_WEIGHTS = Float64Array.of(1, 2, 0.5);

async function open(loss: keyof typeof TARGETS, where: Place = DOUBLE, changes: Partial<NativeDataset> = {}) {
  const session = await makeSession(METHODS.full as Shape, 1, MODEL, { ...where, loss });
  return { session, dataset: await addExamples(session, { targets: TARGETS[loss], ...changes }) };
}

/** A plan of one of these losses, which take no label smoothing. */
function planOf(loss: keyof typeof TARGETS, dataset: number, overrides: Partial<NativeTrainPlan> = {}) {
  const { classWeights: _, ...plan } = makePlan(dataset, { labelSmoothing: 0, ...overrides });
  if (loss === 'mean_squared_error') return plan;
  return { ...plan, classWeights: CLASS_WEIGHTS, positiveWeights: POSITIVE_WEIGHTS, ...overrides };
}

/** The mean loss of logits (B, NC), by its definition. */
function lossOf(loss: keyof typeof TARGETS, logits: ArrayLike<number>, order: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const [x, c] = [logits[i]!, i % NC];
    const y = TARGETS[loss][order[Math.floor(i / NC)]! * NC + c]!;
    const p = 1 / (1 + Math.exp(-x));
    sum +=
      loss === 'mean_squared_error'
        ? (x - y) ** 2
        : -CLASS_WEIGHTS[c]! * (POSITIVE_WEIGHTS[c]! * y * Math.log(p) + (1 - y) * Math.log(1 - p));
  }
  return sum / logits.length;
}

const PLACES = (length: number): number[] => [...new Set([0.13, 0.5, 0.91].map((share) => Math.floor(share * length)))];
const STEP = 1e-5;

async function rejection(call: Promise<unknown>): Promise<BertuneError> {
  try {
    await call;
  } catch (error) {
    expect(error).to.be.an.instanceOf(BertuneError);
    return error as BertuneError;
  }
  return expect.fail('The call was not refused');
}

for (const loss of ['binary_cross_entropy', 'mean_squared_error'] as const) {
  describe(`a model under ${loss}`, () => {
    it('has the gradients of its loss', async () => {
      const { session, dataset } = await open(loss);
      const plan = planOf(loss, dataset);
      const found = await session.gradients(plan);
      expect(found.loss).to.be.closeTo(lossOf(loss, found.logits, plan.order), 1e-12);
      const lossAt = async (name: string, values: Float64Array, index: number, by: number) => {
        const write = (data: Float64Array) => session.write(name, 'value', 'F64', new Uint8Array(data.buffer));
        await write(values.map((value, i) => (i === index ? value + by : value)));
        const { loss: moved } = await session.gradients(plan);
        await write(values);
        return moved;
      };
      const names = session.parameters().map(({ name }) => name);
      const gradients = await Promise.all(names.map((name) => session.read(name, 'gradient')));
      for (const [i, name] of names.entries()) {
        const gradient = gradients[i]!;
        const values = Float64Array.from(await session.read(name, 'value'));
        for (const index of PLACES(gradient.length)) {
          const up = await lossAt(name, values, index, STEP);
          const down = await lossAt(name, values, index, -STEP);
          const slope = (up - down) / (2 * STEP);
          expect(gradient[index], `${name}[${index}]`).to.be.closeTo(slope, 1e-7 * Math.max(1, Math.abs(slope)));
        }
      }
      await session.dispose();
    });

    it('keeps the mean of its micro-batches and what is right of them', async () => {
      const { session, dataset } = await open(loss);
      const order = Int32Array.of(3, 0, 4, 2, 1);
      const overrides = { order, batchSize: 2, accumulation: 3, learningRates: Float64Array.of(0) };
      const { losses, correct, examples } = await session.train(planOf(loss, dataset, overrides));
      let sum = 0;
      let right = 0;
      for (let micro = 0; micro < 3; micro++) {
        const part = order.subarray(2 * micro, 2 * micro + 2);
        // The masks of a step's micro-batches are those of steps of one.
        const plan = planOf(loss, dataset, { order: part, batchSize: 2, firstStep: 7 * 3 + micro });
        const { logits } = await session.gradients(plan);
        sum += lossOf(loss, logits, part);
        for (const [b, example] of part.entries()) {
          const targets = TARGETS[loss].subarray(example * NC, (example + 1) * NC);
          right += Number(targets.every((y, c) => logits[b * NC + c]! > 0 === y > 0.5));
        }
      }
      expect(losses[0]).to.be.closeTo(sum / 3, 1e-12);
      expect({ correct, examples }).to.deep.equal({ correct: loss === 'mean_squared_error' ? 0 : right, examples: 5 });
      await session.dispose();
    });

    for (const { device, precisions } of devices()) {
      for (const precision of precisions.filter((name) => !['fp64', 'tf32', 'int8'].includes(name))) {
        it(`trains on ${device} in ${precision} as in double`, async () => {
          // Sizes are met again, so that a GPU records and replays the steps.
          const steps = 6;
          const train = async (where: Place) => {
            const { session, dataset } = await open(loss, where);
            const plan = planOf(loss, dataset, {
              order: Int32Array.from({ length: 2 * steps }, (_, i) => (3 * i + Math.floor(i / 5)) % 5),
              batchSize: 2,
              learningRates: new Float64Array(steps).fill(1e-3),
              firstStep: 0,
            });
            const result = await session.train(plan);
            const { loss: last } = await session.gradients(plan);
            await session.dispose();
            return { ...result, last: Float64Array.of(last) };
          };
          const expected = await train(DOUBLE);
          const found = await train({ device, precision });
          const tolerance = precision === 'bf16' ? 6e-2 : 2e-5;
          expect(found.steps).to.equal(steps);
          expect(relativeError(found.losses, expected.losses), 'losses').to.be.at.most(tolerance);
          expect(relativeError(found.gradNorms, expected.gradNorms), 'norms').to.be.at.most(5 * tolerance);
          expect(relativeError(found.last, expected.last), 'last loss').to.be.at.most(tolerance);
          if (precision === 'fp32') expect(found.correct).to.equal(expected.correct);
        });
      }
    }

    it('needs targets, and takes labels for nothing', async () => {
      const { session } = await open(loss);
      const unlabelled = await addExamples(session);
      for (const call of [session.train(planOf(loss, unlabelled)), session.gradients(planOf(loss, unlabelled))]) {
        const { code, message } = await rejection(call);
        expect(code).to.equal('INVALID_DATA');
        expect(message).to.equal('Expected a data set with targets, one for each label, to train on');
      }
      await session.dispose();
    });

    it('refuses targets that it has no loss for', async () => {
      const { session } = await open(loss);
      const add = (targets: Float32Array) => rejection(addExamples(session, { targets }));
      const changed = (value: number) => TARGETS[loss].map((y, i) => (i === 7 ? value : y));
      for (const value of [
        Number.NaN,
        Number.POSITIVE_INFINITY,
        ...(loss === 'binary_cross_entropy' ? [-0.5, 2] : []),
      ]) {
        const { code, message } = await add(changed(value));
        expect(code).to.equal('INVALID_DATA');
        expect(message).to.match(/^Expected (targets in \[0, 1\]|finite targets) but target 1 of example 2 is \S+$/);
      }
      expect((await add(TARGETS[loss].subarray(1))).message).to.equal(
        'Expected one target for each label of an example for targets',
      );
      await session.dispose();
    });

    it('refuses settings of other losses', async () => {
      const { session, dataset } = await open(loss);
      const refused: [Partial<NativeTrainPlan>, string][] = [
        [{ labelSmoothing: 0.1 }, 'Expected 0 under this loss for labelSmoothing'],
      ];
      if (loss === 'mean_squared_error') {
        refused.push([{ focalGamma: 2 }, 'Expected 0 under this loss or beside labelSmoothing for focalGamma']);
        refused.push([{ positiveWeights: POSITIVE_WEIGHTS }, 'Expected nothing under this loss for positiveWeights']);
        refused.push([{ classWeights: CLASS_WEIGHTS }, 'Expected nothing under this loss for classWeights']);
      }
      for (const [settings, expected] of refused) {
        const plan = { ...planOf(loss, dataset), ...settings };
        const { message } = await rejection(Promise.resolve().then(() => session.train(plan)));
        expect(message).to.equal(expected);
      }
      await session.dispose();
    });
  });
}

describe('a model under the focal loss', () => {
  const EXPECTED = {
    cross_entropy: (logits: Float64Array, order: Int32Array, focalGamma: number) => {
      const labels = [...order].map((example) => LABELS[example]!);
      return crossEntropy(logits, labels, NC, { focalGamma, classWeights: CLASS_WEIGHTS });
    },
    binary_cross_entropy: (logits: Float64Array, order: Int32Array, focalGamma: number) => {
      const targets = [...order].flatMap((example) => [
        ...TARGETS.binary_cross_entropy.subarray(NC * example, NC * (example + 1)),
      ]);
      return binaryCrossEntropy(logits, targets, NC, { focalGamma, classWeights: CLASS_WEIGHTS });
    },
  };

  for (const { device } of devices()) {
    it(`has its loss on ${device}, whichever was recorded before`, async () => {
      for (const [loss, expected] of Object.entries(EXPECTED)) {
        const where = { device, precision: 'fp32', loss: loss as NativeLoss } as const;
        const session = await makeSession(METHODS.full as Shape, 1, MODEL, where);
        const dataset = await addExamples(session, { targets: TARGETS.binary_cross_entropy });
        const plan = makePlan(dataset, { labelSmoothing: 0, classWeights: CLASS_WEIGHTS });
        for (const focalGamma of [0, 2, 2, 0.5, 0]) {
          const { loss: found, logits } = await session.gradients({ ...plan, focalGamma });
          expect(found, `${loss}, ${focalGamma}`).to.be.closeTo(expected(logits, plan.order, focalGamma), 1e-5);
        }
        await session.dispose();
      }
    });
  }

  it('takes no smoothed labels', async () => {
    const session = await makeSession(METHODS.full as Shape);
    const plan = { ...makePlan(await addExamples(session)), focalGamma: 2 };
    const { message } = await rejection(Promise.resolve().then(() => session.train(plan)));
    expect(message).to.equal('Expected 0 under this loss or beside labelSmoothing for focalGamma');
    await session.dispose();
  });
});

describe('targets of a data set', () => {
  it('are nothing to cross-entropy, nor to a prediction', async () => {
    const run = async (session: NativeSession, changes: Partial<NativeDataset>) => {
      const dataset = await addExamples(session, changes);
      const { loss } = await session.gradients(makePlan(dataset));
      const logits = await session.forward(dataset, Int32Array.of(2, 0), Int32Array.of(0, 2));
      return { loss, logits: [...logits] };
    };
    for (const { device } of devices()) {
      const session = await makeSession(METHODS.full as Shape, 1, MODEL, { device, precision: 'fp32' });
      const targets = TARGETS.mean_squared_error;
      expect(await run(session, { targets })).to.deep.equal(await run(session, {}));
      await session.dispose();
    }
  });

  it('do not let cross-entropy take positive weights', async () => {
    const session = await makeSession(METHODS.full as Shape);
    const plan = { ...makePlan(await addExamples(session)), positiveWeights: POSITIVE_WEIGHTS };
    const { message } = await rejection(Promise.resolve().then(() => session.train(plan)));
    expect(message).to.equal('Expected nothing under this loss for positiveWeights');
    await session.dispose();
  });
});

describe('positions of a data set', () => {
  const places = (lengths: readonly number[]) =>
    Int32Array.from(lengths.flatMap((length) => Array.from({ length }, (_, place) => place)));

  it('are the places within the examples where they are not given', async () => {
    for (const { device } of devices()) {
      const session = await makeSession(METHODS.full as Shape, 1, MODEL, { device, precision: 'fp32' });
      const plain = makePlan(await addExamples(session));
      const { loss } = await session.gradients(plain);
      const gradient = await session.read('bert.embeddings.position_embeddings.weight', 'gradient');
      const positions = places([5, 1, 8, 3, 6]);
      const own = { ...plain, dataset: await addExamples(session, { positions }) };
      expect((await session.gradients(own)).loss).to.equal(loss);
      expect(await session.read('bert.embeddings.position_embeddings.weight', 'gradient')).to.deep.equal(gradient);
      positions[4] = 2; // the last token of the first example
      const moved = { ...plain, dataset: await addExamples(session, { positions }) };
      expect((await session.gradients(moved)).loss).not.to.equal(loss);
      await session.dispose();
    }
  });

  it('are refused above the token’s place, and below −1', async () => {
    const session = await makeSession(METHODS.full as Shape);
    for (const [place, wrong] of [
      [2, 3],
      [2, -2],
    ] as const) {
      const positions = places([5, 1, 8, 3, 6]);
      positions[6 + place] = wrong;
      const { code, message } = await rejection(addExamples(session, { positions }));
      expect(code).to.equal('INVALID_DATA');
      expect(message).to.equal(
        `Expected positions from -1, for padding, to the token's place but that of token ${place} of example 2 is ${wrong}`,
      );
    }
    const { message } = await rejection(addExamples(session, { positions: new Int32Array(3) }));
    expect(message).to.equal('Expected one position a token for positions');
    await session.dispose();
  });
});

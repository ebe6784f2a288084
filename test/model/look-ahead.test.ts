import { expect } from 'chai';
import type { NativeSession, NativeTrainPlan } from '../../lib/native/index.js';
import { startsOf } from '../native/support.js';
import { expectSameRun, relativeError, testDevices } from './support.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession, type Shape } from './tiny-session.js';

/*
 * Features that are made for several micro-batches at once, with the dropout that each has alone, train the same head as those
 * made one micro-batch at a time.
 */

const BATCH = 2;

/** Of 13 examples: six batches of two, and one of one. */
const ORDER = Int32Array.from({ length: 13 }, (_, i) => (3 * i + Math.floor(i / 5)) % 5);

function planOf(dataset: number, from: number, to: number, overrides: Partial<NativeTrainPlan>): NativeTrainPlan {
  const step = BATCH * (overrides.accumulation ?? 1);
  const order = ORDER.slice(from * step, to * step);
  const steps = Math.ceil(order.length / step);
  return makePlan(dataset, {
    order,
    batchSize: BATCH,
    learningRates: Float64Array.from({ length: steps }, (_, i) => 2e-3 / (1 + from + i)),
    firstStep: from,
    weightDecay: 0.05,
    maxGradNorm: 1,
    ...overrides,
  });
}

/** Losses, norms and parameters after calls that end behind these steps. `between` runs behind each. */
async function train(
  shape: Shape,
  where: Parameters<typeof makeSession>[3],
  calls: readonly number[],
  overrides: Partial<NativeTrainPlan> = {},
  between: (session: NativeSession, dataset: number) => Promise<unknown> = async () => {},
): Promise<Map<string, ArrayLike<number>>> {
  const session = await makeSession(shape, 2, MODEL, where);
  const targets = Float32Array.from({ length: 5 * MODEL.labels }, (_, i) => i % 2);
  const dataset = await addExamples(session, where?.loss === undefined ? {} : { targets });
  const [losses, norms, correct]: number[][] = [[], [], []];
  for (const [call, end] of calls.entries()) {
    const found = await session.train(planOf(dataset, calls[call - 1] ?? 0, end, overrides));
    expect(found.stopped).to.equal('done');
    losses!.push(...found.losses);
    norms!.push(...found.gradNorms);
    correct!.push(found.correct);
    await between(session, dataset);
  }
  const result = new Map<string, ArrayLike<number>>([
    ['losses', losses!],
    ['norms', norms!],
    ['correct', [correct!.reduce((sum, count) => sum + count)]],
  ]);
  for (const { name, trainable } of session.parameters()) {
    if (trainable) result.set(name, await session.read(name, 'value'));
  }
  await session.dispose();
  return result;
}

const headAlone: Shape = {
  head: 'classifier',
  lora: null,
  prefix: null,
  trains: (name) => name.startsWith('classifier.'),
};

for (const { device, precision } of testDevices()) {
  const where = { device, precision };
  const tolerance = precision === 'fp64' ? 1e-12 : 2e-5;
  const like = { precision, tolerance, what: 'features made ahead' };

  describe(`features made ahead on ${device} in ${precision}`, () => {
    for (const [title, shape, overrides] of [
      ['a probe', METHODS.linear!, {}],
      ['a classifier alone', headAlone, {}],
      ['micro-batches that add up', METHODS.linear!, { accumulation: 2 }],
    ] as const) {
      it(`train ${title} alike, past the last batch of a smaller size`, async () => {
        const steps = Math.ceil(
          ORDER.length / (BATCH * (('accumulation' in overrides && overrides.accumulation) || 1)),
        );
        const expected = await train(shape, where, [steps], overrides);
        for (const lookAhead of [2, 4, 16]) {
          expectSameRun(await train(shape, where, [steps], { ...overrides, lookAhead }), expected, like);
        }
      });
    }

    it('train alike on targets of several labels', async () => {
      const targets = { ...where, loss: 'binary_cross_entropy' } as const;
      const overrides = { labelSmoothing: 0 };
      const expected = await train(METHODS.linear!, targets, [7], overrides);
      expectSameRun(await train(METHODS.linear!, targets, [7], { ...overrides, lookAhead: 4 }), expected, like);
    });

    for (const [title, loss, overrides] of [
      ['cross-entropy, with label smoothing and class weights', 'cross_entropy', {}],
      ['a focus', 'cross_entropy', { labelSmoothing: 0, focalGamma: 1.5 }],
      ['several labels', 'binary_cross_entropy', { labelSmoothing: 0, positiveWeights: Float64Array.of(2, 0.5, 3) }],
      ['regression', 'mean_squared_error', { labelSmoothing: 0 }],
    ] as const) {
      // Where the encoder trains too, a probe's step is made one operation at a time.
      it(`give a probe the gradients that it has on an encoder that trains: ${title}`, async () => {
        const gradientsOf = async (shape: Shape) => {
          const session = await makeSession(shape, 2, MODEL, { ...where, loss });
          const targets = Float32Array.from({ length: 5 * MODEL.labels }, (_, i) => i % 2);
          const dataset = await addExamples(session, loss === 'cross_entropy' ? {} : { targets });
          const { classWeights, ...plan } = makePlan(dataset, { batchSize: 2, accumulation: 3, ...overrides });
          const found = await session.gradients(
            loss === 'mean_squared_error' || !classWeights ? plan : { ...plan, classWeights },
          );
          const result = new Map<string, ArrayLike<number>>([['loss', [found.loss]]]);
          for (const { name } of session.parameters()) {
            if (name.startsWith('classifier.')) result.set(name, await session.read(name, 'gradient'));
          }
          await session.dispose();
          return result;
        };
        const expected = await gradientsOf(METHODS['full under a probe']!);
        expect(expected.size).to.equal(9);
        const gradients = await gradientsOf(METHODS.linear!);
        for (const [name, values] of expected) {
          expect(relativeError(gradients.get(name)!, values), name).to.be.at.most(tolerance);
        }
      });
    }

    it('train alike where calls end within them, and predictions are made in between', async () => {
      const expected = await train(METHODS.linear!, where, [7]);
      const predict = (session: NativeSession, dataset: number) =>
        session.forward(dataset, Int32Array.of(4, 1, 0, 3, 2), startsOf(5, 2));
      expectSameRun(await train(METHODS.linear!, where, [1, 3, 6, 7], { lookAhead: 4 }, predict), expected, like);
    });

    if (device !== 'cpu') {
      it('train a probe in six launches a step', async () => {
        const session = await makeSession(METHODS.linear!, 1, MODEL, where);
        await session.train(planOf(await addExamples(session), 0, 6, { lookAhead: 2 }));
        const { recorded, nodes } = await session.recordings();
        expect(recorded).to.be.greaterThan(0);
        // LayerNorm and linear, from there to the loss and back, gradients, norm, update
        expect(nodes).to.equal(6);
        await session.dispose();
      });
    }

    it('fit the memory that was planned for them', async () => {
      const session = await makeSession(METHODS.linear!, 1, MODEL, where);
      const dataset = await addExamples(session);
      await session.reserve({ tokens: 40, sequences: 4 * BATCH, training: true });
      const { activations } = session.memory();
      await session.train(planOf(dataset, 0, 1, {}));
      const { activations: started } = session.memory();
      await session.train(planOf(dataset, 0, 7, { lookAhead: 4 }));
      expect(session.memory().activations).to.equal(started);
      expect(started - activations, 'results and order').to.be.lessThan(4096);
      await session.dispose();
    });
  });
}

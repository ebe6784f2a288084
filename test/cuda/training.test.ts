import { expect } from 'chai';
import type { NativePrecision, NativeSession, NativeTrainPlan, NativeTrainResult } from '../../lib/native/index.js';
import { gpus } from '../devices.js';
import { relativeError } from '../model/support.js';
import { addExamples, METHODS, MODEL, makeSession, planOfSteps, type Shape } from '../model/tiny-session.js';
import { startsOf } from '../native/support.js';

/*
 * Whole training runs with every dropout on, held against the CPU: the same seed drops the same elements on both, so only
 * rounding tells them apart. From its third meeting with a batch's sizes on, a GPU replays a recorded step.
 */

const STEPS = 6;

const plan = (dataset: number, overrides: Partial<NativeTrainPlan> = {}) => planOfSteps(STEPS, dataset, overrides);

interface Trained {
  result: NativeTrainResult;
  nodes: number;
  parameters: Map<string, Float32Array | Float64Array>;
  logits: Float32Array | Float64Array;
}

async function finish(session: NativeSession, dataset: number, result: NativeTrainResult): Promise<Trained> {
  const { nodes } = await session.recordings();
  const parameters = new Map<string, Float32Array | Float64Array>();
  for (const { name } of session.parameters()) parameters.set(name, await session.read(name, 'value'));
  const logits = await session.forward(dataset, Int32Array.of(4, 1, 0, 3, 2), startsOf(5, 2));
  await session.dispose();
  return { result, nodes, parameters, logits };
}

async function train(
  shape: Shape,
  where: Parameters<typeof makeSession>[3],
  overrides: Partial<NativeTrainPlan> = {},
): Promise<Trained> {
  const session = await makeSession(shape, 1, MODEL, where);
  const dataset = await addExamples(session);
  return finish(session, dataset, await session.train(plan(dataset, overrides)));
}

/** What a precision may be off by after these steps, relative to the largest magnitude. */
const TOLERANCE: Partial<Record<NativePrecision, number>> = { fp32: 2e-5, tf32: 5e-3, bf16: 6e-2 };

/** Softmax ignores it: its gradient is rounding noise, which AdamW turns into steps. */
const isKeyBias = (name: string): boolean => name.endsWith('attention.self.key.bias');

for (const { device, precisions } of gpus()) {
  for (const precision of precisions) {
    const tolerance = TOLERANCE[precision]!;
    describe(`training on ${device} in ${precision}`, () => {
      for (const [name, shape] of Object.entries(METHODS)) {
        it(`is that of the CPU: ${name}`, async () => {
          const expected = await train(shape, { device: 'cpu', precision: 'fp64' });
          const found = await train(shape, { device, precision });
          expect(found.result.stopped).to.equal('done');
          expect(found.nodes, 'kernels of a recorded step').to.be.greaterThan(0);
          expect(relativeError(found.result.losses, expected.result.losses), 'losses').to.be.at.most(tolerance);
          expect(relativeError(found.result.gradNorms, expected.result.gradNorms), 'norms').to.be.at.most(
            5 * tolerance,
          );
          expect(relativeError(found.logits, expected.logits), 'logits').to.be.at.most(5 * tolerance);
          if (precision !== 'fp32') return;
          expect(found.result.correct).to.equal(expected.result.correct);
          for (const [parameter, values] of expected.parameters) {
            if (isKeyBias(parameter)) continue;
            expect(relativeError(found.parameters.get(parameter)!, values), parameter).to.be.at.most(1e-3);
          }
        });
      }

      it('gives the same bits again', async () => {
        const first = await train(METHODS.full!, { device, precision });
        const second = await train(METHODS.full!, { device, precision });
        expect(second.result.losses).to.deep.equal(first.result.losses);
        for (const [name, values] of first.parameters) expect(second.parameters.get(name), name).to.deep.equal(values);
        expect(second.logits).to.deep.equal(first.logits);
      });
    });
  }

  describe(`recorded steps on ${device}`, () => {
    const where = { device, precision: 'fp32' } as const;

    it('add up micro-batches', async () => {
      const overrides = { batchSize: 1, accumulation: 2 };
      for (const method of ['full', 'DoRA on every Linear', 'prefix with projection']) {
        const expected = await train(METHODS[method]!, { device: 'cpu', precision: 'fp64' }, overrides);
        const found = await train(METHODS[method]!, where, overrides);
        expect(relativeError(found.result.losses, expected.result.losses), method).to.be.at.most(2e-5);
        expect(relativeError(found.result.gradNorms, expected.result.gradNorms), method).to.be.at.most(1e-4);
      }
    });

    it('follow changed settings, weights and data sets', async () => {
      const changes: Partial<NativeTrainPlan>[] = [
        {},
        { weightDecay: 0, labelSmoothing: 0 },
        { classWeights: Float64Array.of(3, 1, 1) },
        { maxGradNorm: 0.01, seed: 99 },
      ];
      const run = async (at: Parameters<typeof makeSession>[3]): Promise<number[]> => {
        const session = await makeSession(METHODS['prefix with projection']!, 1, MODEL, at);
        const losses: number[] = [];
        for (const overrides of changes) {
          const dataset = await addExamples(session);
          // A prediction between runs makes the prompt, which the next recorded step must make again.
          await session.forward(dataset, Int32Array.of(0, 1), startsOf(2));
          for (let i = 0; i < 3; i++) {
            const result = await session.train(plan(dataset, { ...overrides, firstStep: i * STEPS }));
            losses.push(...result.losses);
            await session.forward(dataset, Int32Array.of(0, 1), startsOf(2));
          }
          await session.removeDataset(dataset);
        }
        await session.dispose();
        return losses;
      };
      const expected = await run({ device: 'cpu', precision: 'fp64' });
      expect(relativeError(await run(where), expected)).to.be.at.most(1e-3);
    });

    it('change nothing from the first step on that is not finite', async () => {
      const session = await makeSession(METHODS.full!, 1, MODEL, where);
      const dataset = await addExamples(session);
      await session.train(plan(dataset));
      const weight = 'bert.encoder.layer.1.output.dense.weight';
      const before = await session.read(weight, 'value');
      const good = before.slice();
      before[3] = Number.NaN;
      const write = (values: Float32Array | Float64Array) =>
        session.write(weight, 'value', 'F32', new Uint8Array(Float32Array.from(values).buffer));
      await write(before);
      const result = await session.train(plan(dataset));
      expect(result.stopped).to.equal('non-finite');
      expect(result.steps).to.equal(0);
      expect(result.losses).to.have.lengthOf(1);
      expect(await session.read(weight, 'value')).to.deep.equal(before);
      await write(good);
      expect((await session.train(plan(dataset))).stopped, 'and goes on once it is mended').to.equal('done');
      await session.dispose();
    });

    it('change nothing after such a step, even where later ones are finite again', async () => {
      // The one token of example 1 is met in that example alone, which step 2 takes.
      const order = Int32Array.of(0, 2, 3, 4, 1, 0, 2, 3, 4, 0, 3, 2);
      const run = async (
        steps: number,
      ): Promise<{ result: NativeTrainResult; weights: Float32Array | Float64Array }> => {
        const session = await makeSession(METHODS['full, lower half frozen']!, 1, MODEL, where);
        const dataset = await addExamples(session);
        const table = await session.read('bert.embeddings.word_embeddings.weight', 'value');
        table.fill(Number.NaN, 15 * MODEL.hiddenSize, 16 * MODEL.hiddenSize);
        const bytes = new Uint8Array(Float32Array.from(table).buffer);
        await session.write('bert.embeddings.word_embeddings.weight', 'value', 'F32', bytes);
        const rates = new Float64Array(steps).fill(1e-3);
        // Twice, so that the steps are recorded ones.
        await session.train(plan(dataset, { order: order.subarray(0, 4), learningRates: rates.subarray(0, 2) }));
        const some = order.subarray(0, 2 * steps);
        const result = await session.train(plan(dataset, { order: some, learningRates: rates, firstStep: 2 }));
        const weights = await session.read('bert.encoder.layer.1.output.dense.weight', 'value');
        await session.dispose();
        return { result, weights };
      };
      const whole = await run(STEPS);
      expect(whole.result.stopped).to.equal('non-finite');
      expect(whole.result.steps).to.equal(2);
      expect(whole.weights).to.deep.equal((await run(2)).weights);
    });

    it('stop at an abort', async () => {
      const session = await makeSession(METHODS.full!, 1, MODEL, where);
      const dataset = await addExamples(session);
      const steps = 400;
      const order = Int32Array.from({ length: 2 * steps }, (_, i) => i % 5);
      const running = session.train(plan(dataset, { order, learningRates: new Float64Array(steps).fill(1e-4) }));
      session.abort();
      const result = await running;
      expect(result.stopped).to.equal('aborted');
      expect(result.losses).to.have.lengthOf(result.steps);
      await session.dispose();
    });
  });
}

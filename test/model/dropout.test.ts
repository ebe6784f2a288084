import { expect } from 'chai';
import type { NativeSession, NativeTrainPlan } from '../../lib/native.js';
import { addExamples, METHODS, makePlan, makeSession, type Shape } from './tiny-session.js';

/*
 * The goldens run without dropout. Here the whole model is differentiated with it: one seed and step drop the same
 * elements again, so the loss is a smooth function of the parameters and finite differences must give the gradients.
 */

/** The loss with one element of a parameter moved. */
async function lossAt(
  session: NativeSession,
  plan: NativeTrainPlan,
  name: string,
  index: number,
  by: number,
): Promise<number> {
  const values = Float64Array.from(await session.read(name, 'value'));
  const moved = values.slice();
  moved[index] = (values[index] ?? 0) + by;
  const write = (data: Float64Array) => session.write(name, 'value', 'F64', new Uint8Array(data.buffer));
  await write(moved);
  const { loss } = await session.gradients(plan);
  await write(values);
  return loss;
}

/** A few places of an array, spread over it. */
const places = (length: number): number[] => [...new Set([0.13, 0.5, 0.91].map((share) => Math.floor(share * length)))];

const STEP = 1e-5;

for (const threads of [1, 2]) {
  describe(`the whole model with dropout, ${threads} threads`, () => {
    for (const [method, shape] of Object.entries(METHODS)) {
      it(`has the gradients of its loss: ${method}`, async () => {
        const session = await makeSession(shape, threads);
        const plan = makePlan(await addExamples(session));
        await session.gradients(plan);
        const trainable = session.parameters().filter((parameter) => parameter.trainable);
        const gradients = new Map<string, Float32Array | Float64Array>();
        for (const { name } of trainable) gradients.set(name, await session.read(name, 'gradient'));
        for (const [name, gradient] of gradients) {
          for (const index of places(gradient.length)) {
            const up = await lossAt(session, plan, name, index, STEP);
            const down = await lossAt(session, plan, name, index, -STEP);
            expect(gradient[index], `${name}[${index}]`).to.be.closeTo((up - down) / (2 * STEP), 1e-7);
          }
        }
        await session.dispose();
      });
    }

    it('drops by seed and step: the same again, others else', async () => {
      const session = await makeSession(METHODS.full as Shape, threads);
      const plan = makePlan(await addExamples(session));
      const { loss } = await session.gradients(plan);
      expect((await session.gradients(plan)).loss).to.equal(loss);
      expect((await session.gradients({ ...plan, seed: 12 })).loss).not.to.equal(loss);
      expect((await session.gradients({ ...plan, firstStep: 8 })).loss).not.to.equal(loss);
      await session.dispose();
    });

    it('gives every micro-batch of a step masks of its own, none of them a later step’s', async () => {
      const session = await makeSession(METHODS.full as Shape, threads);
      const dataset = await addExamples(session);
      const lossOf = async (firstStep: number, accumulation: number) => {
        const order = Int32Array.of(0, 0, 0, 0).subarray(0, accumulation);
        const plan = makePlan(dataset, {
          order,
          batchSize: 1,
          accumulation,
          firstStep,
          learningRates: Float64Array.of(0),
        });
        return (await session.train(plan)).losses[0];
      };
      const single = [await lossOf(0, 1), await lossOf(1, 1), await lossOf(2, 1), await lossOf(3, 1)] as number[];
      expect(new Set(single).size).to.equal(4);
      expect(await lossOf(0, 2)).to.be.closeTo(((single[0] ?? 0) + (single[1] ?? 0)) / 2, 1e-12);
      expect(await lossOf(1, 2)).to.be.closeTo(((single[2] ?? 0) + (single[3] ?? 0)) / 2, 1e-12);
      await session.dispose();
    });
  });
}

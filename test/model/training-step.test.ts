import { expect } from 'chai';
import type { NativeSession } from '../../lib/native/index.js';
import { startsOf } from '../native/support.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession, type Shape } from './tiny-session.js';

const shapeOf = (method: string): Shape => METHODS[method] as Shape;

/** Sets every parameter of a session to those of another. */
async function copyParameters(from: NativeSession, to: NativeSession): Promise<void> {
  for (const { name } of from.parameters()) {
    const values = await from.read(name, 'value');
    await to.write(name, 'value', 'F64', new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
}

describe('a training step', () => {
  it('gives a last step of fewer micro-batches their own mean', async () => {
    const session = await makeSession(shapeOf('full'));
    const dataset = await addExamples(session);
    const normOf = async (accumulation: number) => {
      const order = Int32Array.of(1, 3);
      const plan = makePlan(dataset, {
        order,
        batchSize: 2,
        accumulation,
        firstStep: 0,
        learningRates: Float64Array.of(0),
      });
      return (await session.train(plan)).gradNorms[0];
    };
    const alone = await normOf(1);
    expect(await normOf(2)).to.equal(alone);
    expect(await normOf(4)).to.equal(alone);
    await session.dispose();
  });

  it('adds the gradients of micro-batches up to those of the whole batch', async () => {
    const model = { ...MODEL, hiddenDropout: 0, attentionDropout: 0, classifierDropout: 0 };
    for (const method of ['full', 'prefix with projection', 'prefix without projection', 'LoRA on every Linear']) {
      const shape = shapeOf(method);
      const plain = { ...shape, lora: shape.lora && { ...shape.lora, dropout: 0 } };
      const session = await makeSession(plain, 1, model);
      const dataset = await addExamples(session);
      const trainable = session.parameters().filter((parameter) => parameter.trainable);
      const gradientsOf = async (batchSize: number, accumulation: number) => {
        const order = Int32Array.of(0, 2, 3, 4);
        const { classWeights: _, ...rest } = makePlan(dataset, { order, batchSize, accumulation });
        await session.train({ ...rest, learningRates: Float64Array.of(0) });
        return Promise.all(trainable.map(({ name }) => session.read(name, 'gradient')));
      };
      const whole = await gradientsOf(4, 1);
      for (const [i, parts] of (await gradientsOf(1, 4)).entries()) {
        const error = Math.max(...Array.from(parts, (value, k) => Math.abs(value - (whole[i]?.[k] ?? 0))));
        expect(error, `${method}: ${trainable[i]?.name}`).to.be.below(1e-12);
      }
      await session.dispose();
    }
  });

  for (const method of Object.keys(METHODS)) {
    it(`leaves a model that a copy of its parameters equals: ${method}`, async () => {
      const session = await makeSession(shapeOf(method));
      const copy = await makeSession(shapeOf(method));
      const plan = makePlan(await addExamples(session), { learningRates: Float64Array.of(0.05) });
      const copyPlan = makePlan(await addExamples(copy));
      await session.gradients(plan);
      await session.train(plan);
      await copyParameters(session, copy);
      expect((await session.gradients(plan)).loss).to.equal((await copy.gradients(copyPlan)).loss);
      const order = Int32Array.of(0, 1, 2, 3, 4);
      const starts = startsOf(5);
      expect([...(await session.forward(plan.dataset, order, starts))]).to.deep.equal([
        ...(await copy.forward(copyPlan.dataset, order, starts)),
      ]);
      await session.dispose();
      await copy.dispose();
    });
  }

  it('gives the row of the padding token no gradient', async () => {
    const padTokenId = 3; // the first token of the examples
    const word = 'bert.embeddings.word_embeddings.weight';
    const rowOf = async (model: typeof MODEL) => {
      const session = await makeSession(shapeOf('full'), 1, model);
      await session.gradients(makePlan(await addExamples(session)));
      const gradient = await session.read(word, 'gradient');
      await session.dispose();
      return [...gradient.subarray(padTokenId * MODEL.hiddenSize, (padTokenId + 1) * MODEL.hiddenSize)];
    };
    expect((await rowOf(MODEL)).some((value) => value !== 0)).to.equal(true);
    expect((await rowOf({ ...MODEL, padTokenId })).every((value) => value === 0)).to.equal(true);
  });
});

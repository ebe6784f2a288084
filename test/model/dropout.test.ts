import { expect } from 'chai';
import { linearWeights, moduleOf } from '../../lib/architectures/rows.js';
import type { NativeSession, NativeTrainPlan } from '../../lib/native/index.js';
import { expectRefusal } from '../lib/files.js';
import { configOf, type ModelShape } from '../native/shape.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession, type Shape } from './tiny-session.js';

/*
 * The goldens run without dropout. Here the whole model is differentiated with it: one seed and step drop the same
 * elements again, so the loss is a smooth function of the parameters and finite differences must give the gradients.
 */

/**
 * The loss with one element of a parameter moved. Norms of DoRA are constants to its gradients: where the move changes them,
 * magnitudes go along.
 */
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
  const write = (to: string, data: Float64Array) => session.write(to, 'value', 'F64', new Uint8Array(data.buffer));
  const magnitude = name.replace(/lora_[AB]\.weight$/, 'lora_magnitude_vector');
  const moves = magnitude !== name && session.parameters().some((parameter) => parameter.name === magnitude);
  const lengths = moves ? Float64Array.from(await session.read(magnitude, 'value')) : null;
  const norms = async () => {
    await session.initialize(magnitude, { distribution: 'row_norms', scale: 1, seed: 0 });
    return session.read(magnitude, 'value');
  };
  const before = lengths && (await norms());
  await write(name, moved);
  if (before) {
    const after = await norms();
    await write(
      magnitude,
      lengths.map((length, i) => (length * after[i]!) / before[i]!),
    );
  }
  const { loss } = await session.gradients(plan);
  await write(name, values);
  if (lengths) await write(magnitude, lengths);
  return loss;
}

/** A few places of an array, spread over it. */
const places = (length: number): number[] => [...new Set([0.13, 0.5, 0.91].map((share) => Math.floor(share * length)))];

const STEP = 1e-5;

/** Holds every gradient against differences of the loss. */
async function expectGradients(session: NativeSession, plan: NativeTrainPlan): Promise<void> {
  await session.gradients(plan);
  const trainable = session.parameters().filter((parameter) => parameter.trainable);
  const gradients = new Map<string, Float32Array | Float64Array>();
  for (const { name } of trainable) gradients.set(name, await session.read(name, 'gradient'));
  for (const [name, gradient] of gradients) {
    for (const index of places(gradient.length)) {
      const up = await lossAt(session, plan, name, index, STEP);
      const down = await lossAt(session, plan, name, index, -STEP);
      expect(gradient[index], `${name}[${index}]`).to.be.closeTo((up - down) / (2 * STEP), 5e-7);
    }
  }
}

/** The families beside BERT, each with an activation of its own. */
const FAMILIES: Record<string, ModelShape> = {
  roberta: { ...MODEL, modelType: 'roberta', padTokenId: 1, maxPositions: 18, typeVocabSize: 1, activation: 'silu' },
  distilbert: { ...MODEL, modelType: 'distilbert', activation: 'relu' },
  electra: { ...MODEL, modelType: 'electra', embeddingSize: 10, activation: 'gelu_new' },
};

const isInHead = (name: string) => /^(pre_)?classifier\./.test(name);

function methodsOf(model: ModelShape): Record<string, Shape> {
  const modules = linearWeights(configOf(model)).map(moduleOf);
  const plain = { head: 'classifier', lora: null, prefix: null } as const;
  return {
    full: { ...plain, trains: () => true },
    'the head alone': { ...plain, trains: isInHead },
    'biases and the head': { ...plain, trains: (name) => name.endsWith('.bias') || isInHead(name) },
    'linear probing': { ...plain, head: 'probe', trains: isInHead },
    'full under a probe': { ...plain, head: 'probe', trains: () => true },
    'LoRA on every Linear, alone': {
      ...plain,
      lora: { modules, rank: 2, scaling: 1.5, dropout: 0.3 },
      trains: (name) => name.includes('lora_'),
    },
    'DoRA on every Linear, and the head': {
      ...plain,
      lora: { modules, rank: 2, scaling: 1.5, dropout: 0.3, dora: true },
      trains: (name) => name.includes('lora_') || isInHead(name),
    },
    'a prefix with projection, and the head': {
      ...plain,
      prefix: { virtualTokens: 3, projection: true },
      trains: (name) => name.startsWith('prompt_encoder.') || isInHead(name),
    },
  };
}

describe('magnitudes of low-rank updates', () => {
  const shape = METHODS['DoRA on every Linear']!;
  for (const [what, trains] of [
    ['without lora_B', (name) => name.endsWith('lora_magnitude_vector')],
    ['where lora_B trains alone', (name) => name.endsWith('lora_B.weight')],
    ['with the weights', () => true],
  ] as [string, Shape['trains']][]) {
    it(`do not train ${what}`, () =>
      expectRefusal(makeSession({ ...shape, trains }), 'INVALID_OPTION', 'on a weight that does not'));
  }
});

for (const [family, model] of Object.entries(FAMILIES)) {
  describe(`a whole ${family} with dropout`, () => {
    for (const [method, shape] of Object.entries(methodsOf(model))) {
      it(`has the gradients of its loss: ${method}`, async () => {
        const session = await makeSession(shape, 2, model);
        const typeIds = model.typeVocabSize === 2 && family === 'electra' ? {} : { typeIds: undefined };
        await expectGradients(session, makePlan(await addExamples(session, typeIds as object)));
        await session.dispose();
      });
    }
  });
}

for (const threads of [1, 2]) {
  describe(`the whole model with dropout, ${threads} threads`, () => {
    for (const [method, shape] of Object.entries(METHODS)) {
      it(`has the gradients of its loss: ${method}`, async () => {
        const session = await makeSession(shape, threads);
        const plan = makePlan(await addExamples(session));
        await expectGradients(session, plan);
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

import { expect } from 'chai';
import {
  loadNative,
  type NativeModelConfig,
  type NativeSession,
  type NativeSessionConfig,
  type NativeTrainPlan,
} from '../../lib/native.js';

/*
 * The goldens run without dropout. Here the whole model is differentiated with it: one seed and step drop the same
 * elements again, so the loss is a smooth function of the parameters and finite differences must give the gradients.
 */

const MODEL: NativeModelConfig = {
  vocabSize: 23,
  hiddenSize: 16,
  layers: 2,
  heads: 2,
  feedForwardSize: 24,
  maxPositions: 16,
  typeVocabSize: 2,
  labels: 3,
  padTokenId: -1,
  layerNormEps: 1e-12,
  hiddenDropout: 0.2,
  attentionDropout: 0.2,
  classifierDropout: 0.2,
};

const layerModules = (names: string[]): string[] =>
  [0, 1].flatMap((layer) => names.map((name) => `bert.encoder.layer.${layer}.${name}`));

const EVERY_LINEAR = [
  ...layerModules([
    'attention.self.query',
    'attention.self.key',
    'attention.self.value',
    'attention.output.dense',
    'intermediate.dense',
    'output.dense',
  ]),
  'bert.pooler.dense',
];

type Shape = Pick<NativeSessionConfig, 'head' | 'lora' | 'prefix'> & { trains: (name: string) => boolean };

const isHead = (name: string): boolean => name.startsWith('classifier.');

const METHODS: Record<string, Shape> = {
  full: { head: 'classifier', lora: null, prefix: null, trains: () => true },
  'full, lower half frozen': {
    head: 'classifier',
    lora: null,
    prefix: null,
    trains: (name) => !name.includes('embeddings') && !name.includes('layer.0'),
  },
  'one middle weight alone': {
    head: 'classifier',
    lora: null,
    prefix: null,
    trains: (name) => name === 'bert.encoder.layer.0.attention.self.key.weight',
  },
  linear: { head: 'probe', lora: null, prefix: null, trains: isHead },
  'full under a probe': { head: 'probe', lora: null, prefix: null, trains: () => true },
  'LoRA on query and value': {
    head: 'classifier',
    lora: {
      modules: layerModules(['attention.self.query', 'attention.self.value']),
      rank: 3,
      scaling: 2,
      dropout: 0.3,
    },
    prefix: null,
    trains: (name) => name.includes('lora_') || isHead(name),
  },
  'LoRA on every Linear': {
    head: 'classifier',
    lora: { modules: EVERY_LINEAR, rank: 2, scaling: 1.5, dropout: 0.3 },
    prefix: null,
    trains: (name) => name.includes('lora_'),
  },
  'prefix with projection': {
    head: 'classifier',
    lora: null,
    prefix: { virtualTokens: 3, projection: true },
    trains: (name) => name.startsWith('prompt_encoder.') || isHead(name),
  },
  'prefix without projection': {
    head: 'classifier',
    lora: null,
    prefix: { virtualTokens: 3, projection: false },
    trains: (name) => name.startsWith('prompt_encoder.'),
  },
};

async function makeSession(shape: Shape, threads: number): Promise<NativeSession> {
  const native = loadNative();
  const { head, lora, prefix } = shape;
  const config: NativeSessionConfig = {
    device: 'cpu',
    precision: 'fp64',
    threads,
    model: MODEL,
    head,
    probeDropout: 0.2,
    lora,
    prefix,
    trainable: [],
    decay: [],
  };
  const names = await (async () => {
    const probe = await native.createSession(config);
    const all = probe.parameters().map(({ name }) => name);
    await probe.dispose();
    return all;
  })();
  const session = await native.createSession({ ...config, trainable: names.filter(shape.trains) });
  for (const name of names) {
    const isGain = /LayerNorm\.weight|classifier\.[04]\.weight/.test(name);
    await session.initialize(name, { distribution: 'normal', scale: isGain ? 1 : 0.3, seed: 5 });
  }
  return session;
}

async function addExamples(session: NativeSession): Promise<number> {
  const lengths = [5, 1, 8, 3, 6];
  const offsets = [0];
  for (const length of lengths) offsets.push((offsets.at(-1) ?? 0) + length);
  const ids = Int32Array.from({ length: offsets.at(-1) ?? 0 }, (_, i) => (7 * i + 3) % MODEL.vocabSize);
  const typeIds = ids.map((_, i) => i % 2);
  return session.addDataset({ ids, typeIds, offsets: Int32Array.from(offsets), labels: Int32Array.of(0, 2, 1, 1, 0) });
}

function makePlan(dataset: number, overrides: Partial<NativeTrainPlan> = {}): NativeTrainPlan {
  return {
    dataset,
    order: Int32Array.of(3, 0, 4, 2, 1),
    batchSize: 5,
    accumulation: 1,
    learningRates: Float64Array.of(1e-3),
    firstStep: 7,
    seed: 11,
    weightDecay: 0,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    maxGradNorm: 0,
    labelSmoothing: 0.1,
    classWeights: Float64Array.of(1, 2, 0.5),
    ...overrides,
  };
}

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

import { loadNative, type NativeDataset, type NativeSession, type NativeTrainPlan } from '../../lib/native/index.js';
import { type ModelShape, nativeConfig, type SessionShape } from '../native/shape.js';

/** A model small enough to differentiate, with all its dropouts on. */
export const MODEL: ModelShape = {
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

/** A method at the native boundary. */
export type Shape = Pick<SessionShape, 'head' | 'lora' | 'prefix'> & {
  trains: (name: string) => boolean;
  /** Defaults to none. */
  decays?: (name: string) => boolean;
};

const isHead = (name: string): boolean => name.startsWith('classifier.');

export const METHODS: Record<string, Shape> = {
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
  'a LayerNorm alone': {
    head: 'classifier',
    lora: null,
    prefix: null,
    trains: (name) => name.startsWith('bert.encoder.layer.0.attention.output.LayerNorm.'),
  },
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
  'DoRA on every Linear': {
    head: 'classifier',
    lora: { modules: EVERY_LINEAR, rank: 2, scaling: 1.5, dropout: 0.3, dora: true },
    prefix: null,
    trains: (name) => name.includes('lora_') || isHead(name),
  },
  'DoRA without dropout, with biases': {
    head: 'classifier',
    lora: { modules: EVERY_LINEAR, rank: 2, scaling: 1.5, dropout: 0, dora: true },
    prefix: null,
    trains: (name) => name.includes('lora_') || name.endsWith('.bias'),
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

/** A session with every parameter away from zero; on the CPU in double unless told otherwise. */
export async function makeSession(
  shape: Shape,
  threads = 1,
  model = MODEL,
  where: Pick<SessionShape, 'device' | 'precision' | 'loss'> = { device: 'cpu', precision: 'fp64' },
): Promise<NativeSession> {
  const native = loadNative();
  const { head, lora, prefix } = shape;
  const config: SessionShape = {
    ...where,
    threads,
    model,
    head,
    probeDropout: 0.2,
    lora,
    prefix,
    trainable: [],
    decay: [],
  };
  const names = await (async () => {
    const probe = await native.createSession(nativeConfig(config));
    const all = probe.parameters().map(({ name }) => name);
    await probe.dispose();
    return all;
  })();
  const trainable = names.filter(shape.trains);
  const decay = shape.decays ? names.filter(shape.decays) : [];
  const session = await native.createSession(nativeConfig({ ...config, trainable, decay }));
  for (const name of names) {
    const isGain = /LayerNorm\.weight|classifier\.[04]\.weight/.test(name);
    await session.initialize(name, { distribution: 'normal', scale: isGain ? 1 : 0.3, seed: 5 });
  }
  return session;
}

/** The classes of the examples. */
export const LABELS = Int32Array.of(0, 2, 1, 1, 0);

/** Five examples of 1 to 8 tokens. */
export async function addExamples(session: NativeSession, changes: Partial<NativeDataset> = {}): Promise<number> {
  const lengths = [5, 1, 8, 3, 6];
  const offsets = [0];
  for (const length of lengths) offsets.push((offsets.at(-1) ?? 0) + length);
  const ids = Int32Array.from({ length: offsets.at(-1) ?? 0 }, (_, i) => (7 * i + 3) % MODEL.vocabSize);
  const typeIds = ids.map((_, i) => i % 2);
  return session.addDataset({ ids, typeIds, offsets: Int32Array.from(offsets), labels: LABELS, ...changes });
}

/** One step over all examples, in another order than theirs. */
export function makePlan(dataset: number, overrides: Partial<NativeTrainPlan> = {}): NativeTrainPlan {
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

/** Steps over the five examples in changing order, of two examples each; the last batch of a pass is a smaller one. */
export function planOfSteps(steps: number, dataset: number, overrides: Partial<NativeTrainPlan> = {}): NativeTrainPlan {
  return makePlan(dataset, {
    order: Int32Array.from({ length: 2 * steps }, (_, i) => (3 * i + Math.floor(i / 5)) % 5),
    batchSize: 2,
    learningRates: Float64Array.from({ length: steps }, (_, i) => 2e-3 * (1 - i / steps)),
    firstStep: 0,
    weightDecay: 0.05,
    maxGradNorm: 1,
    ...overrides,
  });
}

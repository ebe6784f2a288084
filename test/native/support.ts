import { fileURLToPath } from 'node:url';
import { findAddon } from '../../lib/native/addon.js';
import { loadNative, type NativeDataset, type NativeSession, type NativeTrainPlan } from '../../lib/native/index.js';
import { type ModelShape, nativeConfig, type SessionShape } from './shape.js';

/** Where the addon is, for programs that load it by themselves. */
export const ADDON = findAddon().path;

/** The program that workers and child processes of the lifetime tests run. */
export const PROGRAM = fileURLToPath(new URL('./program.cjs', import.meta.url));

const EXAMPLES = 8;

export const MODEL: ModelShape = {
  vocabSize: 50,
  hiddenSize: 16,
  layers: 2,
  heads: 2,
  feedForwardSize: 32,
  maxPositions: 16,
  typeVocabSize: 2,
  labels: 3,
  padTokenId: 0,
  layerNormEps: 1e-12,
  hiddenDropout: 0.1,
  attentionDropout: 0.1,
  classifierDropout: 0.1,
};

/** Everything optional is there, so that every field is read. */
export function sessionConfig(changes: Partial<SessionShape> = {}): SessionShape {
  const query = 'bert.encoder.layer.0.attention.self.query';
  return {
    device: 'cpu',
    precision: 'fp32',
    threads: 2,
    model: { ...MODEL },
    head: 'classifier',
    probeDropout: 0.1,
    loss: 'cross_entropy',
    lora: { modules: [query], rank: 2, scaling: 2, dropout: 0.1 },
    prefix: { virtualTokens: 2, projection: true },
    trainable: ['classifier.weight', 'classifier.bias', `${query}.lora_A.weight`, 'prompt_encoder.embedding.weight'],
    decay: ['classifier.weight'],
    ...changes,
  };
}

/** Examples of 1, 2, ... 8 tokens. */
export function dataset(): NativeDataset {
  const offsets = Int32Array.from({ length: EXAMPLES + 1 }, (_, i) => (i * (i + 1)) / 2);
  const tokens = offsets[EXAMPLES] ?? 0;
  return {
    ids: Int32Array.from({ length: tokens }, (_, i) => (i * 7) % MODEL.vocabSize),
    offsets,
    labels: Int32Array.from({ length: EXAMPLES }, (_, i) => i % MODEL.labels),
    targets: Float32Array.from({ length: EXAMPLES * MODEL.labels }, (_, i) => i % 2),
    typeIds: Int32Array.from({ length: tokens }, (_, i) => i % 2),
    positions: new Int32Array(tokens),
  };
}

/** Starts of batches of `size` of `count` examples, and the end. */
export function startsOf(count: number, size = count): Int32Array {
  return Int32Array.from({ length: Math.ceil(count / size) + 1 }, (_, i) => Math.min(i * size, count));
}

export function trainPlan(handle: number, steps = 1): NativeTrainPlan {
  return {
    dataset: handle,
    order: Int32Array.from({ length: EXAMPLES * steps }, (_, i) => i % EXAMPLES),
    batchSize: EXAMPLES / 2,
    accumulation: 2,
    learningRates: new Float64Array(steps).fill(1e-3),
    firstStep: 0,
    seed: 42,
    weightDecay: 0.01,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    maxGradNorm: 1,
    labelSmoothing: 0.1,
    focalGamma: 0,
    classWeights: Float64Array.of(1, 2, 3),
  };
}

/** Fills every parameter with reproducible values. */
export async function initialize(session: NativeSession): Promise<void> {
  for (const { name } of session.parameters()) {
    const isScale = name.endsWith('LayerNorm.weight');
    await session.initialize(name, {
      distribution: isScale ? 'constant' : 'normal',
      scale: isScale ? 1 : 0.2,
      seed: 1,
    });
  }
}

/** A session with initial values and its data set. */
export async function openSession(
  changes: Partial<SessionShape> = {},
): Promise<{ session: NativeSession; handle: number }> {
  const session = await loadNative().createSession(nativeConfig(sessionConfig(changes)));
  await initialize(session);
  return { session, handle: await session.addDataset(dataset()) };
}

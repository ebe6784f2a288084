import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { readSafetensors } from '../../lib/formats/safetensors.js';
import { type Tensor, toFloat32 } from '../../lib/formats/tensor.js';
import {
  loadNative,
  type NativeDevice,
  type NativePrecision,
  type NativeSession,
  type NativeTrainPlan,
} from '../../lib/native/index.js';
import { devices } from '../devices.js';
import { type ModelShape, nativeConfig, type SessionShape } from '../native/shape.js';

/** Reference values of one model and method, as test/fixtures/goldens/README.md describes them. */
export interface Golden {
  name: string;
  tensors: Map<string, Tensor>;
  config: Record<string, number>;
  method: string;
}

export interface GoldenBatch {
  ids: Int32Array;
  offsets: Int32Array;
  labels: Int32Array;
  /** Tokens of the padded form, and where each real token stands in it. */
  paddedIndex: number[];
}

export const GOLDENS = [
  'small-full',
  'small-linear',
  'small-lora',
  'small-prefix',
  'small-prefix_noproj',
  'head64-full',
  'head64-lora',
  'head64-prefix',
] as const;

const PREFIX_TOKENS = 5;
const LORA_RANK = 4;
const LORA_ALPHA = 16;
const LABELS = 6;

/** Every device to test on, with its parity precisions and the thread counts that it is tried with. */
export function testDevices(): { device: NativeDevice; precision: NativePrecision; threadCounts: number[] }[] {
  return devices().flatMap(({ device, precisions }) =>
    precisions
      .filter((precision) => precision === 'fp32' || precision === 'fp64')
      .map((precision) => ({ device, precision, threadCounts: device === 'cpu' ? [1, 2, 3] : [1] })),
  );
}

export async function readGolden(name: string): Promise<Golden> {
  const path = fileURLToPath(new URL(`../fixtures/goldens/${name}.safetensors`, import.meta.url));
  const { tensors, metadata } = await readSafetensors(path);
  return { name, tensors, config: JSON.parse(metadata.config ?? '{}'), method: metadata.method ?? '' };
}

/** PEFT's and the notebook's names → the library's own. */
export function canonicalName(name: string): string {
  return name
    .replace(/^base_model\.model\.|^base_model\./, '')
    .replace('.modules_to_save.default', '')
    .replace('.base_layer', '')
    .replace('.default', '');
}

/** The values under `section/`, by the library's own names. */
export function goldenValues(golden: Golden, section: string): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  for (const [name, tensor] of golden.tensors) {
    if (!name.startsWith(`${section}/`) || name.includes('original_module')) continue;
    values.set(canonicalName(name.slice(section.length + 1)), toFloat32(tensor));
  }
  return values;
}

export function goldenTensor(golden: Golden, name: string): Float32Array {
  const tensor = golden.tensors.get(name);
  if (!tensor) throw new Error(`${golden.name} holds no ${name}`);
  return toFloat32(tensor);
}

/** Packs a padded batch. */
export function goldenBatch(golden: Golden, index: number): GoldenBatch {
  const ints = (name: string): { values: Int32Array; shape: number[] } => {
    const tensor = golden.tensors.get(`batch${index}/${name}`);
    if (!tensor) throw new Error(`${golden.name} holds no batch${index}/${name}`);
    const copy = tensor.data.slice();
    return { values: new Int32Array(copy.buffer), shape: tensor.shape };
  };
  const ids = ints('input_ids');
  const mask = ints('attention_mask');
  const width = ids.shape[1] ?? 0;
  const packed: number[] = [];
  const paddedIndex: number[] = [];
  const offsets = [0];
  for (let row = 0; row < (ids.shape[0] ?? 0); row++) {
    for (let column = 0; column < width; column++) {
      const at = row * width + column;
      if (mask.values[at] !== 1) continue;
      packed.push(ids.values[at] ?? 0);
      paddedIndex.push(at);
    }
    offsets.push(packed.length);
  }
  return {
    ids: Int32Array.from(packed),
    offsets: Int32Array.from(offsets),
    labels: ints('labels').values,
    paddedIndex,
  };
}

export function modelConfig(golden: Golden): ModelShape {
  const field = (name: string): number => {
    const value = golden.config[name];
    if (value === undefined) throw new Error(`${golden.name} has no ${name}`);
    return value;
  };
  return {
    vocabSize: field('vocab_size'),
    hiddenSize: field('hidden_size'),
    layers: field('num_hidden_layers'),
    heads: field('num_attention_heads'),
    feedForwardSize: field('intermediate_size'),
    maxPositions: field('max_position_embeddings'),
    typeVocabSize: field('type_vocab_size'),
    labels: LABELS,
    padTokenId: 0,
    layerNormEps: field('layer_norm_eps'),
    hiddenDropout: 0,
    attentionDropout: 0,
    classifierDropout: 0,
  };
}

const NO_DECAY = /bias|layernorm|classifier\.classifier\.[04]\./i;

/** A session of the golden's model and method, holding its initial values. */
export async function goldenSession(
  golden: Golden,
  device: NativeDevice,
  precision: NativePrecision,
  threads: number,
): Promise<NativeSession> {
  const initial = goldenValues(golden, 'init');
  const trainable = [...goldenValues(golden, 'grad').keys()];
  const modules = [...initial.keys()]
    .filter((name) => name.endsWith('.lora_A.weight'))
    .map((name) => name.slice(0, -14));
  const config: SessionShape = {
    device,
    precision,
    threads,
    model: modelConfig(golden),
    head: golden.method === 'linear' ? 'probe' : 'classifier',
    probeDropout: 0,
    lora: golden.method === 'lora' ? { modules, rank: LORA_RANK, scaling: LORA_ALPHA / LORA_RANK, dropout: 0 } : null,
    prefix: golden.method.startsWith('prefix')
      ? { virtualTokens: PREFIX_TOKENS, projection: golden.method === 'prefix' }
      : null,
    trainable,
    decay: trainable.filter((name) => !NO_DECAY.test(name)),
  };
  const session = await loadNative().createSession(nativeConfig(config));
  for (const { name } of session.parameters()) {
    const values = initial.get(name);
    if (!values) throw new Error(`${golden.name} holds no init/${name}`);
    await session.write(name, 'value', 'F32', new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return session;
}

/** The golden runs' settings: AdamW lr 1e-3, decay 0.01, clip 1.0; one whole batch a step. */
export function goldenPlan(
  dataset: number,
  examples: number,
  learningRate: number,
  firstStep: number,
): NativeTrainPlan {
  return {
    dataset,
    order: Int32Array.from({ length: examples }, (_, i) => i),
    batchSize: examples,
    accumulation: 1,
    learningRates: Float64Array.of(learningRate),
    firstStep,
    seed: 0,
    weightDecay: 0.01,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    maxGradNorm: 1,
    labelSmoothing: 0,
  };
}

/** The largest difference, relative to the largest magnitude expected. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let magnitude = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN));
    if (!(error <= difference)) difference = error;
    magnitude = Math.max(magnitude, Math.abs(expected[i] ?? 0));
  }
  return difference / (magnitude || 1);
}

/**
 * Fails where parameters after AdamW steps are not the expected ones. AdamW divides by the gradient's own size, so an
 * element whose gradient is rounding noise takes a step of any direction: fp32 may have a few such elements, of which up
 * to 3 were seen. (PyTorch in fp32 has them against its own fp64 run, at 2e-5 to 8e-5 of the largest parameter.)
 *
 * @param tolerance of their root mean square and of each element, relative to the largest magnitude expected
 */
export function expectParameters(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { precision, tolerance, what }: { precision: string; tolerance: number; what: string },
): void {
  expect(actual.length, what).to.equal(expected.length);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(expected[i] ?? 0));
  let squares = 0;
  let outliers = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN)) / (largest || 1);
    squares += error * error;
    if (!(error <= tolerance)) outliers += 1;
  }
  expect(Math.sqrt(squares / expected.length), what).to.be.at.most(tolerance);
  const most = precision === 'fp64' ? 0 : Math.max(3, expected.length / 5000);
  expect(outliers, `${what}: elements beyond ${tolerance}`).to.be.at.most(most);
}

/** Fails where a training run's numbers, of which those with a dot in their name are parameters, are not those of another. */
export function expectSameRun(
  found: ReadonlyMap<string, ArrayLike<number>>,
  expected: ReadonlyMap<string, ArrayLike<number>>,
  { precision, tolerance, what }: { precision: string; tolerance: number; what: string },
): void {
  for (const [name, values] of expected) {
    const title = `${what}: ${name}`;
    const actual = found.get(name)!;
    if (name.includes('.')) expectParameters(actual, values, { precision, tolerance, what: title });
    else expect(relativeError(actual, values), title).to.be.at.most(tolerance);
  }
}

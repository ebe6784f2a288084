import type { NativeAdapterConfig, NativeTensor } from '../../lib/native/index.js';
import { type NamedTensor, nativeAdapter } from './shape.js';
import { MODEL } from './support.js';

export const QUERY = 'bert.encoder.layer.0.attention.self.query';
const POOLER = 'bert.pooler.dense';
const C = MODEL.hiddenSize;

/** A parameter of an adapter, its values away from zero. */
export const tensor = (name: string, count: number, value = 0.1): NamedTensor => ({
  name,
  dtype: 'F32',
  bytes: new Uint8Array(new Float32Array(count).map((_, i) => value * Math.sin(i + 1)).buffer),
});

/** LoRA on two modules. */
export function loraAdapter(labels = 4, rank = 3, value = 0.3): [NativeAdapterConfig, NativeTensor[]] {
  const modules = [QUERY, POOLER];
  const tensors = modules.flatMap((module) => [
    tensor(`${module}.lora_A.weight`, rank * C, value),
    tensor(`${module}.lora_B.weight`, C * rank, value),
  ]);
  tensors.push(tensor('classifier.weight', labels * C), tensor('classifier.bias', labels));
  return nativeAdapter(MODEL, { labels, lora: { modules, rank, scaling: 2 }, prefix: null }, tensors);
}

import type { ModelConfig } from '../../lib/architectures/index.js';
import { fromFloat32, type Tensor } from '../../lib/formats/tensor.js';
import { writeAdapter } from '../../lib/methods/adapter/files.js';
import { isChosen } from '../../lib/methods/adapter/targets.js';
import { linearModules, loraTensors } from './shapes.js';
import { randomNumbers } from './tiny-model.js';

/** What an adapter of random weights is like. */
export type TinyAdapter = { labels: readonly string[]; seed: number } & (
  | { rank: number; alpha: number; targets: string[] }
  | { virtualTokens: number }
);

/** Adapters that differ in all that adapters can differ in. */
export const ADAPTERS = {
  polite: { rank: 4, alpha: 16, targets: ['query', 'value'], labels: ['rude', 'polite'], seed: 11 },
  topics: { rank: 3, alpha: 3, targets: ['key', 'output.dense'], labels: ['a', 'b', 'c', 'd', 'e'], seed: 12 },
  dense: { rank: 20, alpha: 10, targets: ['all-linear'], labels: ['no', 'maybe', 'yes'], seed: 13 },
  inner: { rank: 1, alpha: 2, targets: ['intermediate.dense', 'pooler.dense'], labels: ['x', 'y'], seed: 14 },
  prefix: { virtualTokens: 5, labels: ['cold', 'warm', 'hot', 'hotter'], seed: 15 },
} satisfies Record<string, TinyAdapter>;

/** Writes an adapter of random weights, large enough to change every prediction. */
export async function writeTinyAdapter(
  directory: string,
  base: string,
  config: ModelConfig,
  adapter: TinyAdapter,
): Promise<void> {
  const random = randomNumbers(adapter.seed);
  const tensor = (shape: number[]): Tensor => {
    const count = shape.reduce((a, b) => a * b, 1);
    return fromFloat32(
      Float32Array.from({ length: count }, () => random() - 0.5),
      shape,
    );
  };
  const { labels } = adapter;
  const { hiddenSize, layers, heads } = config;
  const tensors = new Map([
    ['classifier.weight', tensor([labels.length, hiddenSize])],
    ['classifier.bias', tensor([labels.length])],
  ]);
  if ('virtualTokens' in adapter) {
    const { virtualTokens } = adapter;
    const promptEmbeddings = tensor([virtualTokens, 2 * layers * hiddenSize]);
    const shape = { virtualTokens, projection: false, layers, heads, hiddenSize };
    await writeAdapter(directory, { kind: 'prefix', ...shape, baseModel: base, labels, promptEmbeddings, tensors });
    return;
  }
  const { rank, alpha, targets } = adapter;
  const modules = linearModules(layers).filter((name) => isChosen(name, { targets, layers: null, exclude: [] }));
  for (const [name, shape] of loraTensors(config, modules, rank)) tensors.set(name, tensor(shape));
  await writeAdapter(directory, {
    kind: 'lora',
    rank,
    alpha,
    dropout: 0.1,
    targetModules: targets,
    baseModel: base,
    labels,
    tensors,
  });
}

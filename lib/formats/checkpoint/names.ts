import { architectureOf, type ModelConfig } from '../../architectures/index.js';

/**
 * The name of a tensor as everything here spells it: with the prefix, such as `bert.`, that a bare encoder's file leaves
 * out, and weight and bias where early conversions from TensorFlow say gamma and beta. Other names pass unchanged.
 */
export function canonicalName(name: string, config: ModelConfig): string {
  const { prefix, embeddings, layers, pooler } = architectureOf(config);
  const inEncoder = [embeddings.word, embeddings.projection, layers, pooler].map((module) => module?.split('.')[1]);
  return (inEncoder.includes(name.split('.')[0]) ? `${prefix}.${name}` : name)
    .replace(/\.LayerNorm\.gamma$/, '.LayerNorm.weight')
    .replace(/\.LayerNorm\.beta$/, '.LayerNorm.bias');
}

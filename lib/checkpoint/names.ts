/**
 * The name of a tensor as everything here spells it: with the `bert.` prefix that a bare BertModel leaves out, and
 * weight and bias where early conversions from TensorFlow say gamma and beta. Names that are not BERT's pass unchanged.
 */
export function canonicalName(name: string): string {
  return name
    .replace(/\.LayerNorm\.gamma$/, '.LayerNorm.weight')
    .replace(/\.LayerNorm\.beta$/, '.LayerNorm.bias')
    .replace(/^(?=(embeddings|encoder|pooler)\.)/, 'bert.');
}

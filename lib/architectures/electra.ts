import type { Architecture } from './architecture.js';
import { BERT_KEYS, BERT_LAYER, bertEmbeddings } from './bert.js';

/** ELECTRA's discriminator (Clark et al., 2020): BERT's layers on embeddings that may be narrower. */
export const electra: Architecture = {
  modelTypes: { electra: 'Electra' },
  prefix: 'electra',
  keys: {
    ...BERT_KEYS,
    embeddingSize: { key: 'embedding_size', default: 128 },
    hiddenSize: { key: 'hidden_size', default: 256 },
    heads: { key: 'num_attention_heads', default: 4 },
    feedForwardSize: { key: 'intermediate_size', default: 1024 },
  },
  positionsFollowPadding: false,
  embeddings: { ...bertEmbeddings('electra'), projection: 'electra.embeddings_project' },
  layers: 'electra.encoder.layer',
  inLayer: BERT_LAYER,
  pooler: null,
  head: { dense: 'classifier.dense', output: 'classifier.out_proj' },
  headActivation: 'gelu',
  dropsHeadInput: true,
  dropsAttentionOutput: true,
  loraTargets: ['query', 'value'],
};

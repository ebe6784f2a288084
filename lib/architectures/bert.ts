import type { Architecture, ConfigKeys } from './architecture.js';

/** BERT's keys in config.json, which most encoders share, and its defaults. */
export const BERT_KEYS: ConfigKeys = {
  vocabSize: { key: 'vocab_size', default: 30522 },
  embeddingSize: { key: null, default: 0 },
  hiddenSize: { key: 'hidden_size', default: 768 },
  layers: { key: 'num_hidden_layers', default: 12 },
  heads: { key: 'num_attention_heads', default: 12 },
  feedForwardSize: { key: 'intermediate_size', default: 3072 },
  maxPositions: { key: 'max_position_embeddings', default: 512 },
  typeVocabSize: { key: 'type_vocab_size', default: 2 },
  layerNormEps: { key: 'layer_norm_eps', default: 1e-12 },
  activation: { key: 'hidden_act', default: 'gelu' },
  hiddenDropout: { key: 'hidden_dropout_prob', default: 0.1 },
  attentionDropout: { key: 'attention_probs_dropout_prob', default: 0.1 },
  classifierDropout: { key: 'classifier_dropout', default: null },
  padTokenId: { key: 'pad_token_id', default: 0 },
  initializerRange: { key: 'initializer_range', default: 0.02 },
};

/** BERT's modules in a layer. */
export const BERT_LAYER = {
  query: 'attention.self.query',
  key: 'attention.self.key',
  value: 'attention.self.value',
  attention_output: 'attention.output.dense',
  attention_norm: 'attention.output.LayerNorm',
  intermediate: 'intermediate.dense',
  output: 'output.dense',
  output_norm: 'output.LayerNorm',
} as const;

/** BERT's embeddings below a prefix. */
export function bertEmbeddings(prefix: string) {
  return {
    word: `${prefix}.embeddings.word_embeddings`,
    position: `${prefix}.embeddings.position_embeddings`,
    tokenType: `${prefix}.embeddings.token_type_embeddings`,
    norm: `${prefix}.embeddings.LayerNorm`,
    projection: null,
  };
}

/** BERT (Devlin et al., 2019). */
export const bert: Architecture = {
  modelTypes: { bert: 'Bert' },
  prefix: 'bert',
  keys: BERT_KEYS,
  positionsFollowPadding: false,
  embeddings: bertEmbeddings('bert'),
  layers: 'bert.encoder.layer',
  inLayer: BERT_LAYER,
  pooler: 'bert.pooler.dense',
  head: { dense: null, output: 'classifier' },
  headActivation: 'tanh',
  dropsHeadInput: false,
  dropsAttentionOutput: true,
  loraTargets: ['query', 'value'],
};

import type { Architecture } from './architecture.js';

/**
 * DistilBERT (Sanh et al., 2019): BERT without token types and pooler, under names of its own. `sinusoidal_pos_embds` says
 * how positions began before pretraining; they are in the file, and train.
 */
export const distilbert: Architecture = {
  modelTypes: { distilbert: 'DistilBert' },
  prefix: 'distilbert',
  keys: {
    vocabSize: { key: 'vocab_size', default: 30522 },
    embeddingSize: { key: null, default: 0 },
    hiddenSize: { key: 'dim', default: 768 },
    layers: { key: 'n_layers', default: 6 },
    heads: { key: 'n_heads', default: 12 },
    feedForwardSize: { key: 'hidden_dim', default: 3072 },
    maxPositions: { key: 'max_position_embeddings', default: 512 },
    typeVocabSize: { key: null, default: 0 },
    layerNormEps: { key: null, default: 1e-12 },
    activation: { key: 'activation', default: 'gelu' },
    hiddenDropout: { key: 'dropout', default: 0.1 },
    attentionDropout: { key: 'attention_dropout', default: 0.1 },
    classifierDropout: { key: 'seq_classif_dropout', default: 0.2 },
    padTokenId: { key: 'pad_token_id', default: 0 },
    initializerRange: { key: 'initializer_range', default: 0.02 },
  },
  positionsFollowPadding: false,
  embeddings: {
    word: 'distilbert.embeddings.word_embeddings',
    position: 'distilbert.embeddings.position_embeddings',
    tokenType: null,
    norm: 'distilbert.embeddings.LayerNorm',
    projection: null,
  },
  layers: 'distilbert.transformer.layer',
  inLayer: {
    query: 'attention.q_lin',
    key: 'attention.k_lin',
    value: 'attention.v_lin',
    attention_output: 'attention.out_lin',
    attention_norm: 'sa_layer_norm',
    intermediate: 'ffn.lin1',
    output: 'ffn.lin2',
    output_norm: 'output_layer_norm',
  },
  pooler: null,
  head: { dense: 'pre_classifier', output: 'classifier' },
  headActivation: 'relu',
  dropsHeadInput: false,
  dropsAttentionOutput: false,
  loraTargets: ['q_lin', 'v_lin'],
};

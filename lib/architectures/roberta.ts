import type { Architecture } from './architecture.js';
import { BERT_KEYS, BERT_LAYER, bertEmbeddings } from './bert.js';

/**
 * RoBERTa (Liu et al., 2019), and under the same names XLM-R (Conneau et al., 2020) and CamemBERT (Martin et al., 2020):
 * BERT's layers, positions from pad_token_id + 1 on, and a head of its own in place of the pooler.
 */
export const roberta: Architecture = {
  modelTypes: { roberta: 'Roberta', 'xlm-roberta': 'XLMRoberta', camembert: 'Camembert' },
  prefix: 'roberta',
  keys: {
    ...BERT_KEYS,
    vocabSize: { key: 'vocab_size', default: 50265 },
    padTokenId: { key: 'pad_token_id', default: 1 },
  },
  positionsFollowPadding: true,
  embeddings: bertEmbeddings('roberta'),
  layers: 'roberta.encoder.layer',
  inLayer: BERT_LAYER,
  pooler: null,
  head: { dense: 'classifier.dense', output: 'classifier.out_proj' },
  headActivation: 'tanh',
  dropsHeadInput: true,
  dropsAttentionOutput: true,
  loraTargets: ['query', 'value'],
};

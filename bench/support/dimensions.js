// The models that benches run: BERT-base, BERT-large, BERT-mini, and two that take a moment anywhere.
import { load } from './library.js';

const { parseConfig } = await load('formats/checkpoint/config');

export const LABELS = ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise'];

/** What differs from BERT-base, which config.json's defaults are. */
const CHANGES = {
  base: {},
  large: { hidden_size: 1024, num_hidden_layers: 24, num_attention_heads: 16, intermediate_size: 4096 },
  mini: { hidden_size: 256, num_hidden_layers: 4, num_attention_heads: 4, intermediate_size: 1024 },
  tiny: {
    vocab_size: 211,
    hidden_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 128,
    max_position_embeddings: 128,
  },
  // BERT-base's layers on tiny's sizes: as many kernels a step as BERT-base's, which the emulated device counts in a moment.
  deep: {
    vocab_size: 211,
    hidden_size: 64,
    num_hidden_layers: 12,
    num_attention_heads: 2,
    intermediate_size: 128,
    max_position_embeddings: 128,
  },
};

export const SCALES = Object.keys(CHANGES);

export function modelConfig(scale) {
  return parseConfig({ model_type: 'bert', ...CHANGES[scale] });
}

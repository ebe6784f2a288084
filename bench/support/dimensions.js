// The models that benches run: BERT-base, and one that takes a moment anywhere.
import { load } from './library.js';

const { parseConfig } = await load('formats/checkpoint/config');

export const LABELS = ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise'];

const TINY = {
  vocab_size: 211,
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 128,
  max_position_embeddings: 128,
};

export const SCALES = ['base', 'tiny'];

/** config.json's defaults are BERT-base's. */
export function modelConfig(scale) {
  return parseConfig({ model_type: 'bert', ...(scale === 'tiny' && TINY) });
}

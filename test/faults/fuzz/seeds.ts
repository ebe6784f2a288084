import { formatHeader } from '../../../lib/formats/safetensors-header.js';
import { fromFloat32, type Tensor } from '../../../lib/formats/tensor.js';

/* Small sound files, for faults to be put into. */

export const CODES = ['CHECKPOINT_INVALID', 'INVALID_DATA', 'SHAPE_MISMATCH', 'NOT_FOUND', 'OUT_OF_MEMORY'] as const;

/** The sizes of the smallest model. */
export const SIZES = { vocab: 34, hidden: 4, layers: 1, feedForward: 6, positions: 8 };

/** config.json of it. */
export const CONFIG = {
  architectures: ['BertForSequenceClassification'],
  model_type: 'bert',
  vocab_size: SIZES.vocab,
  hidden_size: SIZES.hidden,
  num_hidden_layers: SIZES.layers,
  num_attention_heads: 2,
  intermediate_size: SIZES.feedForward,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
  classifier_dropout: null,
  max_position_embeddings: SIZES.positions,
  type_vocab_size: 2,
  initializer_range: 0.02,
  layer_norm_eps: 1e-12,
  pad_token_id: 0,
  problem_type: 'single_label_classification',
  id2label: { 0: 'no', 1: 'maybe', 2: 'yes' },
  label2id: { no: 0, maybe: 1, yes: 2 },
  torch_dtype: 'float32',
};

const PIECES =
  '[PAD] [UNK] [CLS] [SEP] [MASK] the cat sat on mat un ##aff ##able hello world ! , . a b c d e ##a ##b ##c ##d ##e σ é 中 x ##x y'.split(
    ' ',
  );

/** vocab.txt of it. */
export const VOCABULARY = `${PIECES.join('\n')}\n`;

/** tokenizer.json of it, as Hugging Face's library writes one. */
export const TOKENIZER = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: PIECES.slice(0, 5).map((content, id) => {
    return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  }),
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
    ],
    pair: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
      { Sequence: { id: 'B', type_id: 1 } },
      { SpecialToken: { id: '[SEP]', type_id: 1 } },
    ],
    special_tokens: {
      '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
      '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
    },
  },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(PIECES.map((piece, id) => [piece, id])),
  },
};

export const TOKENIZER_CONFIG = {
  do_lower_case: true,
  strip_accents: null,
  tokenize_chinese_chars: true,
  model_max_length: 8,
  cls_token: '[CLS]',
  sep_token: '[SEP]',
  pad_token: '[PAD]',
  unk_token: '[UNK]',
  mask_token: { __type: 'AddedToken', content: '[MASK]', lstrip: false },
  extra_special_tokens: ['<e>', { __type: 'AddedToken', content: '<f>', rstrip: true }],
  tokenizer_class: 'BertTokenizer',
};

/** special_tokens_map.json of it. */
export const SPECIAL_TOKENS = {
  cls_token: '[CLS]',
  mask_token: { content: '[MASK]', single_word: false, lstrip: true, rstrip: false, normalized: false },
  additional_special_tokens: ['<e>'],
};

/** added_tokens.json of it. */
export const ADDED_TOKENS = { '<url>': PIECES.length, '[MASK]': 4 };

/** A tensor of small numbers. */
export function tensor(...shape: number[]): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return fromFloat32(
    Float32Array.from({ length: count }, (_, i) => (i % 7) / 8),
    shape,
  );
}

/** The bytes of a safetensors file. */
export function safetensorsBytes(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Record<string, string> = { format: 'pt' },
): Buffer {
  const { head, order } = formatHeader(tensors, metadata);
  return Buffer.concat([head, ...order.map(({ data }) => data)]);
}

/** The bytes of a safetensors file of which only the header's text is given. */
export function withHeader(header: string, body: Uint8Array, length?: bigint): Buffer {
  const json = Buffer.from(header);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([size, json, body]);
}

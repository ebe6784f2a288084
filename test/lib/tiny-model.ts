import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelConfig } from '../../lib/architectures/index.js';
import type { Split } from '../../lib/data/dataset.js';
import { readConfig } from '../../lib/formats/checkpoint/config.js';
import { writeSafetensors } from '../../lib/formats/safetensors.js';
import { fromFloat32 } from '../../lib/formats/tensor.js';
import { encoderTensors, headTensors } from './shapes.js';

/** Where the embedded model and data are. */
export const ASSETS = fileURLToPath(new URL('../../assets', import.meta.url));

export const LABELS = ['no', 'maybe', 'yes'];

const WORDS: readonly (readonly string[])[] = [
  ['never', 'bad', 'awful', 'hate', 'sad'],
  ['perhaps', 'some', 'other', 'might', 'often'],
  ['always', 'good', 'great', 'love', 'happy'],
];
const FILLERS = ['the', 'day', 'was', 'here', 'and', 'we', 'went', 'home', 'with', 'a', 'friend'];

/** The embedded model's most frequent pieces, all of these words among them: less to read, to train and to save. */
const PIECES = 2400;

/** The embedded model's tokenizer with so few pieces: its files by their names. */
const TOKENIZER: readonly (readonly [name: string, text: string])[] = (() => {
  const read = (name: string) => readFileSync(join(ASSETS, 'models/bert-mini', name), 'utf8');
  const tokenizer = JSON.parse(read('tokenizer.json'));
  const vocab = Object.entries<number>(tokenizer.model.vocab).filter(([, id]) => id < PIECES);
  return [
    [
      'tokenizer.json',
      JSON.stringify({ ...tokenizer, model: { ...tokenizer.model, vocab: Object.fromEntries(vocab) } }),
    ],
    ['vocab.txt', read('vocab.txt').split('\n').slice(0, PIECES).concat('').join('\n')],
    ['tokenizer_config.json', read('tokenizer_config.json')],
  ];
})();

/** Numbers in [0, 1), the same for the same seed (Lehmer). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/**
 * Writes a BERT classifier of two layers with random weights, and the most frequent pieces of the embedded model's tokenizer.
 *
 * @param options.dropout of every kind. Defaults to 0.
 * @param options.classifier whether it has a classifier. Defaults to true.
 * @param options.pooler whether it has a pooler. Defaults to true.
 * @param options.labels names of the classes. Defaults to LABELS.
 */
export async function writeTinyCheckpoint(
  directory: string,
  options: { dropout?: number; classifier?: boolean; pooler?: boolean; labels?: readonly string[] } = {},
): Promise<ModelConfig> {
  const { dropout = 0, classifier = true, pooler = true, labels = LABELS } = options;
  await mkdir(directory, { recursive: true });
  const json = {
    model_type: 'bert',
    vocab_size: PIECES,
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 64,
    hidden_act: 'gelu',
    hidden_dropout_prob: dropout,
    attention_probs_dropout_prob: dropout,
    max_position_embeddings: 64,
    type_vocab_size: 2,
    initializer_range: 0.02,
    layer_norm_eps: 1e-12,
    pad_token_id: 0,
    id2label: Object.fromEntries(labels.map((label, i) => [i, label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
  await writeFile(join(directory, 'config.json'), JSON.stringify(json));
  for (const [name, text] of TOKENIZER) await writeFile(join(directory, name), text);
  const config = await readConfig(directory);
  const shapes = [...encoderTensors(config), ...(classifier ? headTensors(config, 'classifier', labels.length) : [])];
  const random = randomNumbers(7);
  const tensors = new Map(
    shapes
      .filter(([name]) => pooler || !name.startsWith('bert.pooler.'))
      .map(([name, shape]) => {
        const count = shape.reduce((a, b) => a * b, 1);
        const center = name.endsWith('LayerNorm.weight') ? 1 : 0;
        return [
          name,
          fromFloat32(
            Float32Array.from({ length: count }, () => center + 0.4 * (random() - 0.5)),
            shape,
          ),
        ];
      }),
  );
  await writeSafetensors(join(directory, 'model.safetensors'), tensors);
  return config;
}

/** Texts whose words give their class away. */
export function tinySplit(name: string, examples: number, seed: number): Split & { labels: Int32Array } {
  const random = randomNumbers(seed);
  const pick = (words: readonly string[]) => words[Math.floor(random() * words.length)]!;
  const labels = Int32Array.from({ length: examples }, () => Math.floor(random() * LABELS.length));
  const texts = [...labels].map((label) => {
    const words = Array.from({ length: 1 + Math.floor(random() * 8) }, () => pick(FILLERS));
    words.splice(Math.floor(random() * words.length), 0, pick(WORDS[label]!), pick(WORDS[label]!));
    return words.join(' ');
  });
  return { name, task: 'single-label', texts, labels, labelNames: LABELS, source: 'memory' };
}

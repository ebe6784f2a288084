// The batches that operations are timed on, as `--tokens` names them: `352` is 352 tokens in 16 texts as long as
// emotion's, `16x512` is 16 texts of 512 tokens.
import { spreadLengths } from '../support/lengths.js';
import { sum } from '../support/statistics.js';

const TOKENS_PER_TEXT = 22;

/** What is run where `--tokens` and lengths are not given. */
export const BATCHES = {
  base: { tokens: ['22', '352', '1408', '16x512'], lengths: [22, 32, 64, 128, 256, 512], texts: 16 },
  tiny: { tokens: ['6', '3x8'], lengths: [6, 40], texts: 2 },
};

// Backend::pad on CUDA: sequences, tokens. Batches of training run at such sizes.
const BUCKETS = { cpu: [1, 1], cuda: [16, 64] };

function roundUp(value, size) {
  return Math.ceil(value / size) * size;
}

/** Lengths → a batch, and the sizes that the device's arrays have for it. */
function makeBatch(title, lengths, device) {
  const [sequences, tokens] = BUCKETS[device === 'cpu' ? 'cpu' : 'cuda'];
  const B = lengths.length;
  const T = sum(lengths);
  return { title, lengths, B, T, padded: { B: roundUp(B, sequences), T: roundUp(T, tokens) } };
}

/** @param text e.g. '352' or '16x512' */
export function parseBatch(text, device) {
  const uniform = /^(\d+)x(\d+)$/.exec(text);
  if (uniform) return makeBatch(text, new Array(Number(uniform[1])).fill(Number(uniform[2])), device);
  const tokens = Number(text);
  if (!Number.isInteger(tokens) || tokens < 1)
    throw new Error(`Expected tokens like 352 or 16x512 but received ${text}`);
  const texts = Math.max(1, Math.round(tokens / TOKENS_PER_TEXT));
  return makeBatch(text, spreadLengths(texts, tokens), device);
}

// The texts that steps run on: those of a data set, or drawn ones that are as long as emotion's.
import { LABELS } from '../support/dimensions.js';
import { EMOTION_LENGTHS } from '../support/lengths.js';
import { load } from '../support/library.js';
import { randomNumbers } from '../support/statistics.js';

const { loadDataset } = await load('data/dataset');
const { mostTokens } = await load('model/batches');
const { randomOrder } = await load('order');
const { Tokenizer } = await load('tokenizer/index');

const SEED = 42;
const DRAWN = { train: 16000, test: 2000 };

/** `count` texts of random tokens, all of one length or as long as emotion's, but for those that the model cannot take. */
function drawTexts(count, { vocabSize, maxPositions }, seed, length) {
  const next = randomNumbers(seed);
  const offsets = new Int32Array(count + 1);
  for (let i = 0; i < count; i++) {
    const drawn = EMOTION_LENGTHS[Math.floor(next() * EMOTION_LENGTHS.length)];
    offsets[i + 1] = offsets[i] + (length ?? Math.min(drawn, Math.floor(maxPositions / 2)));
  }
  const ids = Int32Array.from({ length: offsets[count] }, () => 1 + Math.floor(next() * (vocabSize - 1)));
  const labels = Int32Array.from({ length: count }, () => Math.floor(next() * LABELS.length));
  return { ids, offsets, labels };
}

async function encode({ texts, labels }, tokenizer, maxLength) {
  const { ids, offsets } = await tokenizer.encodeTexts(texts, maxLength);
  return { ids, offsets, labels };
}

/**
 * The training and test texts as the addon takes them.
 *
 * @param options data: a folder, a file or undefined; tokenizer: a folder; virtualTokens: positions to leave free; length:
 *   of all drawn texts
 */
export async function readTexts({ data, tokenizer, config, virtualTokens, length }) {
  if (data === undefined) {
    const most = length && Math.min(length, config.maxPositions - virtualTokens);
    const [train, test] = [DRAWN.train, DRAWN.test].map((count, i) => drawTexts(count, config, 1 + i, most));
    return { source: 'drawn', train, test };
  }
  const { train, validation, test, labels } = await loadDataset(data);
  if (labels.length > LABELS.length)
    throw new Error(`Expected at most ${LABELS.length} classes in ${data} but found ${labels.length}`);
  const encoder = await Tokenizer.load(tokenizer);
  if (encoder.vocabSize > config.vocabSize) {
    throw new Error(
      `Expected a tokenizer of at most ${config.vocabSize} ids but ${tokenizer} has ${encoder.vocabSize}`,
    );
  }
  const maxLength = config.maxPositions - virtualTokens;
  return {
    source: data,
    train: await encode(train, encoder, maxLength),
    test: await encode(test ?? validation ?? train, encoder, maxLength),
  };
}

/** Examples in the order of an epoch of Trainer's. */
export function epochOrder(texts, epoch = 0) {
  return randomOrder(SEED + epoch, texts.offsets.length - 1);
}

/** The most tokens of any `together` consecutive batches of a run of `epochs`. */
export function largestBatch(texts, batchSize, epochs, together) {
  let tokens = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    tokens = Math.max(tokens, mostTokens(texts.offsets, epochOrder(texts, epoch), batchSize, together));
  }
  return { tokens, sequences: together * batchSize };
}

/** Tokens per text. */
export function statistics({ offsets }) {
  const lengths = Array.from(offsets.subarray(1), (end, i) => end - offsets[i]);
  return {
    texts: lengths.length,
    mean: offsets.at(-1) / lengths.length,
    least: lengths.reduce((a, b) => Math.min(a, b)),
    most: lengths.reduce((a, b) => Math.max(a, b)),
  };
}

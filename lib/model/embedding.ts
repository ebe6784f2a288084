import type { NativeSession } from '../native/index.js';
import {
  expectAbortSignal,
  expectBoolean,
  expectObject,
  expectOneOf,
  expectPositiveInteger,
} from '../options/validation.js';
import { throwIfAborted } from '../time-slice.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import { type BatchPlan, DEFAULT_BATCH_TOKENS, longestFirst, packBatches } from './batches.js';
import type { AnyClassifier } from './classifier.js';
import { datasetOf, type Values } from './session.js';
import { encodeTexts, expectMaxLength, type TextInputs } from './texts.js';

/** How the tokens of a text are pooled. */
export const POOLINGS = ['mean', 'first'] as const;

/** Options of `embed`. */
export interface EmbedOptions {
  /**
   * How the tokens of a text are pooled: 'mean', the mean of all, including special ones; 'first', only the first one, which
   * the classifier sees. Defaults to 'mean'.
   */
  pooling?: (typeof POOLINGS)[number] | undefined;
  /** Whether rows are divided by their length, so that a product of two is their cosine. Defaults to false. */
  normalize?: boolean | undefined;
  /** Tokens per batch. Affects speed and memory, and only the last bits of results. Defaults to 1024. */
  batchTokens?: number | undefined;
  /** Longest text in tokens, including special ones; the rest is truncated. Defaults to the model's limit. */
  maxLength?: number | undefined;
  /** Stops the work after the batch that is under way. Defaults to none. */
  signal?: AbortSignal | undefined;
}

interface EmbedSettings {
  pooling: (typeof POOLINGS)[number];
  normalize: boolean;
}

/** Embeds texts. Parameters and errors as TextClassifier.embed. */
export async function embedTexts(
  model: AnyClassifier,
  inputs: TextInputs,
  options: EmbedOptions,
): Promise<Float32Array[]> {
  const given = expectObject('options', options, ['pooling', 'normalize', 'batchTokens', 'maxLength', 'signal']);
  const { pooling = 'mean', normalize = false, batchTokens = DEFAULT_BATCH_TOKENS, maxLength = null, signal } = given;
  const settings = {
    pooling: expectOneOf('pooling', pooling, POOLINGS),
    normalize: expectBoolean('normalize', normalize),
  };
  expectPositiveInteger('batchTokens', batchTokens);
  if (signal !== undefined) expectAbortSignal('signal', signal);
  const { session } = model;
  const longest = expectMaxLength(model, maxLength, session.plan);
  throwIfAborted(signal);
  if (inputs.texts.length === 0) return [];
  const encoded = await encodeTexts(model, inputs, longest, signal);
  const batches = packBatches(encoded.offsets, longestFirst(encoded.offsets), batchTokens);
  return session.withDataset(datasetOf(encoded), (handle, native) =>
    embedBatches(native, handle, encoded, batches, settings, model.config.hiddenSize, signal),
  );
}

/** @returns a row (C) per text (N), in the order of the dataset */
async function embedBatches(
  native: NativeSession,
  handle: number,
  { offsets }: EncodedTexts,
  { order, starts, tokens, sequences }: BatchPlan,
  settings: EmbedSettings,
  hiddenSize: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  await native.reserve({ tokens, sequences, training: false });
  const rows = new Array<Float32Array>(order.length);
  for (let batch = 0; batch + 1 < starts.length; batch++) {
    throwIfAborted(signal);
    const examples = order.subarray(starts[batch], starts[batch + 1]);
    const [hidden] = await native.hiddenStates(handle, examples.slice(), true);
    let token = 0;
    for (const example of examples) {
      const length = offsets[example + 1]! - offsets[example]!;
      const text = hidden!.subarray(token * hiddenSize, (token + length) * hiddenSize);
      rows[example] = pooled(text, hiddenSize, settings);
      token += length;
    }
  }
  return rows;
}

/** One row (C) of a text's tokens (T, C). */
function pooled(hidden: Values, hiddenSize: number, { pooling, normalize }: EmbedSettings): Float32Array {
  const length = pooling === 'first' ? 1 : hidden.length / hiddenSize;
  const row = new Float64Array(hiddenSize);
  for (let token = 0; token < length; token++) {
    for (let c = 0; c < hiddenSize; c++) row[c]! += hidden[token * hiddenSize + c]! / length;
  }
  const norm = normalize ? Math.hypot(...row) : 1;
  return Float32Array.from(row, (value) => (norm > 0 ? value / norm : value));
}

import { expectFunction, expectObject, expectPositiveInteger, invalidOption } from '../options/validation.js';
import { throwIfAborted } from '../time-slice.js';
import { PREDICT_OPTIONS, type PredictOptions } from './predict-options.js';
import { expectTextInput, type TextInput, type TextInputs } from './texts.js';

/** Options of `predictStream`. */
export interface StreamOptions extends Omit<PredictOptions, 'adapter'> {
  /** How many texts are read and classified at a time. Memory and latency depend on it. Defaults to 512. */
  batchSize?: number | undefined;
  /** Called when a batch's predictions have been consumed. Defaults to none. */
  onProgress?: ((progress: { /** Texts so far. */ texts: number }) => void) | undefined;
  /** Name of the adapter to predict with, as given to `loadAdapter`. Defaults to the model as it was loaded. */
  adapter?: string | null | undefined;
}

/** Texts that fill every batch of tokens, and are few enough that predictions come soon. */
const DEFAULT_BATCH_SIZE = 512;

/**
 * Takes what is the stream's own out of its options.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function streamOptions(given: StreamOptions) {
  const {
    batchSize = DEFAULT_BATCH_SIZE,
    onProgress,
    ...others
  } = expectObject('options', given, ['batchSize', 'onProgress', ...PREDICT_OPTIONS]);
  if (onProgress !== undefined) expectFunction('onProgress', onProgress);
  return { batchSize: expectPositiveInteger('batchSize', batchSize), onProgress, ...others };
}

/**
 * Reads a source in batches, the next when it is asked for. Single texts and pairs never share one.
 *
 * @returns texts, and the place of the first of them in the source
 * @throws BertuneError INVALID_OPTION for what is no source, or no text; ABORTED
 */
export async function* streamBatches(
  source: Iterable<TextInput> | AsyncIterable<TextInput>,
  batchSize: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ inputs: TextInputs; first: number }> {
  if (typeof source === 'string' || source instanceof String || ArrayBuffer.isView(source) || !isIterable(source)) {
    throw invalidOption('texts', 'an iterable of texts or pairs', source);
  }
  let [texts, pairs]: [string[], string[]] = [[], []];
  let count = 0;
  const take = () => {
    const inputs = pairs.length > 0 ? { texts, pairs } : { texts };
    const first = count - texts.length;
    [texts, pairs] = [[], []];
    return { inputs, first };
  };
  for await (const input of source) {
    throwIfAborted(signal);
    const [text, pair] = expectTextInput(`texts[${count}]`, input);
    const isOther = texts.length > 0 && (pair === undefined) !== (pairs.length === 0);
    if (isOther) yield take();
    texts.push(text);
    if (pair !== undefined) pairs.push(pair);
    count += 1;
    if (texts.length === batchSize) yield take();
  }
  if (texts.length > 0) yield take();
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value);
}

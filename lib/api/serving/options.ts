import { type AdapterChoice, expectAdapterNames } from '../../model/adapters.js';
import { expectTextKind, type TextKind } from '../../model/texts.js';
import {
  LONG_TEXT_OPTIONS,
  type LongTextOptions,
  type LongTextWishes,
  longTextWishes,
} from '../../options/long-texts.js';
import {
  expectAbortSignal,
  expectFunction,
  expectNumberInRange,
  expectObject,
  expectPositiveInteger,
} from '../../options/validation.js';
import { type PredictionSettings, predictionSettings } from '../../tasks/prediction.js';
import type { BatchFigures } from './statistics.js';

/** Options of a PredictionService. */
export interface ServiceOptions {
  /** Most tokens per batch; a longer text forms its own batch. Defaults to 1024. */
  maxBatchTokens?: number | undefined;
  /**
   * How long an incomplete batch waits for more texts, in milliseconds. Defaults to 0: it starts at once, and whatever
   * arrives meanwhile forms the next one.
   */
  maxWait?: number | undefined;
  /** Most texts waiting; calls beyond that are refused with QUEUE_FULL. Defaults to 16,384. */
  maxQueuedTexts?: number | undefined;
  /**
   * How long a call may wait for its batch because of others, in milliseconds. A call that would wait longer, judging by the
   * tokens ahead of it and the speed of the last batches, is refused with QUEUE_FULL: at once by an estimate of its tokens, or
   * once they are counted. Whatever fits into the next batch is always accepted. So an accepted call of one text takes at most
   * about two full batches plus this, whatever the load, even if all calls come in one tick: use 0 and a small `maxBatchTokens`
   * for the quickest answers under overload. The texts of a larger call take turns with others: give it a `timeout`, and no
   * later call is accepted that would make it late. Until the first batch has finished, only `maxQueuedTexts` counts.
   * Defaults to 10,000; a service that people wait for should use less, e.g. 250.
   */
  maxQueueTime?: number | undefined;
  /**
   * Called after each batch, e.g. to feed a histogram. Its errors do not affect the calls; the first one becomes a process
   * warning. Defaults to none.
   */
  onBatch?: ((figures: BatchFigures) => void) | undefined;
}

/** Options of a PredictionService's `predict`. */
export interface ServicePredictOptions extends LongTextOptions {
  /** Removes the call's texts from the queue and rejects with ABORTED at once. Defaults to none. */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds after which the call rejects with TIMED_OUT; at once if its texts alone would take longer at the best
   * speed so far. If other calls are the reason, it is refused with QUEUE_FULL instead. Defaults to no limit.
   */
  timeout?: number | undefined;
  /** Adapters to predict with: one name for all texts, or one per text; null is the model as it was loaded. Defaults to null. */
  adapter?: AdapterChoice | undefined;
  /** As in `TextClassifier.predict`: whether texts must be of the kind the model was trained on. Defaults to 'trained'. */
  textKind?: TextKind | undefined;
  /** As in `TextClassifier.predict`: the score above which a label is predicted. Defaults to the model's thresholds, or 0.5. */
  threshold?: number | undefined;
  /** As in `TextClassifier.predict`: how many labels to list in `top`. Defaults to none. */
  topK?: number | undefined;
  /** As in `TextClassifier.predict`: whether to add `margin` and `entropy`. Defaults to false. */
  uncertainty?: boolean | undefined;
}

/** Options of a PredictionService's `dispose`. */
export interface ServiceDisposeOptions {
  /** What happens to waiting calls: 'finish' computes them, 'drop' rejects them with DISPOSED. Defaults to 'finish'. */
  queued?: 'finish' | 'drop' | undefined;
}

/** Tokens per batch: enough rows to keep every thread's matrix products efficient. */
const DEFAULT_MAX_BATCH_TOKENS = 1024;

const DEFAULT_MAX_QUEUED_TEXTS = 16_384;

/** Milliseconds; no one waits longer for an answer. */
const DEFAULT_MAX_QUEUE_TIME = 10_000;

/** Longer than a timer can be set for. */
const MOST_MILLISECONDS = 2 ** 31 - 1;

/** ServiceOptions with every default filled in. */
export type ServiceSettings = { readonly [Name in keyof ServiceOptions]-?: NonNullable<ServiceOptions[Name]> };

/** @throws BertuneError INVALID_OPTION */
export function serviceSettings(given: ServiceOptions): ServiceSettings {
  const options = expectObject('options', given, [
    'maxBatchTokens',
    'maxWait',
    'maxQueuedTexts',
    'maxQueueTime',
    'onBatch',
  ]);
  const { maxBatchTokens = DEFAULT_MAX_BATCH_TOKENS, maxQueuedTexts = DEFAULT_MAX_QUEUED_TEXTS, maxWait = 0 } = options;
  const { maxQueueTime = DEFAULT_MAX_QUEUE_TIME, onBatch = () => {} } = options;
  expectFunction('onBatch', onBatch);
  return {
    maxBatchTokens: expectPositiveInteger('maxBatchTokens', maxBatchTokens),
    maxWait: expectNumberInRange('maxWait', maxWait, { min: 0, max: MOST_MILLISECONDS }),
    maxQueuedTexts: expectPositiveInteger('maxQueuedTexts', maxQueuedTexts),
    maxQueueTime: expectNumberInRange('maxQueueTime', maxQueueTime, { min: 0, max: MOST_MILLISECONDS }),
    onBatch,
  };
}

/** What a call asked for, checked. */
export interface CallSettings extends PredictionSettings {
  longTexts: LongTextWishes;
  signal: AbortSignal | undefined;
  timeout: number | undefined;
  /** Of each text (N). */
  adapters: readonly (string | null)[];
  textKind: TextKind;
}

/** @throws BertuneError INVALID_OPTION */
export function callSettings(given: ServicePredictOptions, texts: number): CallSettings {
  const options = expectObject('options', given, [
    ...LONG_TEXT_OPTIONS,
    'signal',
    'timeout',
    'adapter',
    'textKind',
    'threshold',
    'topK',
    'uncertainty',
  ]);
  const { signal, timeout, adapter = null } = options;
  if (signal !== undefined) expectAbortSignal('signal', signal);
  if (timeout !== undefined) expectNumberInRange('timeout', timeout, { min: 0, max: MOST_MILLISECONDS });
  const textKind = expectTextKind(options.textKind);
  const adapters = expectAdapterNames(adapter, texts);
  return { longTexts: longTextWishes(options), signal, timeout, adapters, textKind, ...predictionSettings(options) };
}

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
  /** Tokens a batch at most; one longer text makes a batch of its own. Defaults to 1024. */
  maxBatchTokens?: number | undefined;
  /**
   * How long a batch that is not full waits for more texts, in milliseconds. Defaults to 0: it starts at once, and what
   * arrives while it computes makes the next one.
   */
  maxWait?: number | undefined;
  /** Texts that wait at most, each window of a long one counted; a call that would make them more is refused with QUEUE_FULL. Defaults to 16,384. */
  maxQueuedTexts?: number | undefined;
  /**
   * How long a call may have to wait for its batch because of others, in milliseconds; one that would wait longer, by the
   * tokens before it and the rate of the last batches, is refused with QUEUE_FULL: at once by an estimate of its tokens, or
   * once they are counted. What fits into the next batch is always taken. So an accepted call of one text takes about two
   * full batches and this at most, however much is asked for, also in one tick: 0 with a small `maxBatchTokens` for the
   * quickest answers under more load than can be served. A call of several texts has a turn for each, and others may come
   * in between: give it a `timeout`, and none is let in that would make it late. Before the first batch has ended nothing is
   * known, and only `maxQueuedTexts` counts. Defaults to 10,000; a service that people wait for wants less, e.g. 250.
   */
  maxQueueTime?: number | undefined;
  /**
   * Called after each batch, e.g. to observe a histogram. What it throws changes nothing for the calls: the first such
   * error becomes a warning of the process. Defaults to none.
   */
  onBatch?: ((figures: BatchFigures) => void) | undefined;
}

/** Options of a PredictionService's `predict`. */
export interface ServicePredictOptions extends LongTextOptions {
  /** Takes the call's texts out of the queue and rejects with ABORTED at once. Defaults to none. */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds after which the call rejects with TIMED_OUT; at once where its texts alone would take longer at the best
   * rate so far. Where others are the reason it is refused with QUEUE_FULL instead. Defaults to no limit.
   */
  timeout?: number | undefined;
  /** Adapters to predict with: one name for all texts, or one a text; null is the model as it was loaded. Defaults to it. */
  adapter?: AdapterChoice | undefined;
  /** As in `TextClassifier.predict`: whether single texts or pairs have to be what was trained on. Defaults to 'trained'. */
  textKind?: TextKind | undefined;
  /** As in `TextClassifier.predict`: the score above which a label is predicted. Defaults to the model's thresholds, or 0.5. */
  threshold?: number | undefined;
  /** As in `TextClassifier.predict`: so many labels, the likeliest first, as `top`. Defaults to none. */
  topK?: number | undefined;
  /** As in `TextClassifier.predict`: whether predictions have `margin` and `entropy`. Defaults to false. */
  uncertainty?: boolean | undefined;
}

/** Options of a PredictionService's `dispose`. */
export interface ServiceDisposeOptions {
  /** What becomes of calls that wait: 'finish' computes them, 'drop' rejects them with DISPOSED. Defaults to 'finish'. */
  queued?: 'finish' | 'drop' | undefined;
}

/** Tokens a batch: as where one caller predicts, enough rows to keep every thread's matrix products efficient. */
const DEFAULT_MAX_BATCH_TOKENS = 1024;

const DEFAULT_MAX_QUEUED_TEXTS = 16_384;

/** Milliseconds; nobody waits longer for an answer. */
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

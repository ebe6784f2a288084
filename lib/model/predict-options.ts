import { LONG_TEXT_OPTIONS, type LongTextOptions, longTextWishes } from '../options/long-texts.js';
import { expectAbortSignal, expectObject, expectPositiveInteger, expectString } from '../options/validation.js';
import { expectMetrics, type MetricFunctions } from '../tasks/custom-metrics.js';
import { type PredictionSettings, predictionSettings } from '../tasks/prediction.js';
import { type AdapterChoice, expectAdapterNames } from './adapters.js';
import { DEFAULT_BATCH_TOKENS } from './batches.js';
import type { EvaluationOptions } from './evaluation.js';
import type { LogitsOptions } from './logits.js';
import { expectTextKind, type TextKind } from './texts.js';

/** Options of `predict`. */
export interface PredictOptions extends LongTextOptions {
  /** Tokens per batch. Affects speed and memory, and only the last bits of results. Defaults to 1024. */
  batchTokens?: number | undefined;
  /** Stops the work within a fraction of a second. Defaults to none. */
  signal?: AbortSignal | undefined;
  /**
   * Adapters to predict with, by the names given to `loadAdapter`: one for all texts, or one per text; null is the model
   * as it was loaded. A batch can mix LoRA adapters and the model itself; texts for a prefix adapter form their own
   * batches. Defaults to the model as it was loaded.
   */
  adapter?: AdapterChoice | undefined;
  /**
   * 'trained': texts must be of the kind, single or pairs, that the model or the adapter was trained on, if that
   * is known; scores of the other kind are meaningless. 'any': no check. Defaults to 'trained'.
   */
  textKind?: TextKind | undefined;
  /**
   * Multi-label models: the score above which a label is predicted, in [0, 1]; overrides tuned thresholds. Defaults to those,
   * or to 0.5 if none were tuned.
   */
  threshold?: number | undefined;
  /** How many labels to list in `top` of each prediction, most likely first. Not for regression. Defaults to none. */
  topK?: number | undefined;
  /** Whether to add `margin` and `entropy` to each prediction, to choose what to label next. Not for regression. Defaults to false. */
  uncertainty?: boolean | undefined;
}

/** Options of `logits`. */
export interface LogitsCallOptions extends Omit<PredictOptions, 'threshold' | 'topK' | 'uncertainty'> {}

/** Options of `predict` for the model itself, whose labels TypeScript may know. */
export interface OwnPredictOptions extends PredictOptions {
  /** No adapter. */
  adapter?: null | undefined;
}

/** Options of `TextClassifier.evaluate`. */
export interface EvaluateOptions extends Omit<PredictOptions, 'adapter' | 'topK' | 'uncertainty'> {
  /** Name of the adapter to measure, as given to `loadAdapter`. Defaults to the model as it was loaded. */
  adapter?: string | null | undefined;
  /** Metrics of your own, by name, which the result has under `custom`. Defaults to none. */
  metrics?: MetricFunctions | undefined;
  /**
   * How many of the examples that the model is most wrong about to list under `mistakes`, by their rows.
   * Defaults to none.
   */
  mistakes?: number | undefined;
}

const LOGITS_OPTIONS = ['batchTokens', ...LONG_TEXT_OPTIONS, 'signal', 'adapter', 'textKind'] as const;
const EVALUATE_OPTIONS = [...LOGITS_OPTIONS, 'threshold'] as const;
export const PREDICT_OPTIONS = [...EVALUATE_OPTIONS, 'topK', 'uncertainty'] as const;

/**
 * Checks options of `predict`.
 *
 * @param texts how many there are
 * @throws BertuneError INVALID_OPTION
 */
export function predictOptions(given: PredictOptions, texts: number): LogitsOptions & PredictionSettings {
  const options = expectObject('options', given, PREDICT_OPTIONS);
  const { batchTokens, signal, adapter, textKind } = options;
  return {
    batchTokens: expectPositiveInteger('batchTokens', batchTokens ?? DEFAULT_BATCH_TOKENS),
    longTexts: longTextWishes(options),
    signal: signal === undefined ? undefined : expectAbortSignal('signal', signal),
    adapters: expectAdapterNames(adapter ?? null, texts),
    textKind: expectTextKind(textKind),
    ...predictionSettings(options),
  };
}

/** Checks options of `logits`, as predictOptions. */
export function logitsOptions(given: LogitsCallOptions, texts: number): LogitsOptions {
  return predictOptions(expectObject('options', given, LOGITS_OPTIONS), texts);
}

/** Checks options of `evaluate`. @throws BertuneError INVALID_OPTION */
export function evaluationOptions(given: EvaluateOptions): EvaluationOptions {
  const options = expectObject('options', given, [...EVALUATE_OPTIONS, 'metrics', 'mistakes']);
  const { adapter = null, metrics, mistakes, ...others } = options;
  if (adapter !== null) expectString('adapter', adapter);
  return {
    ...{ ...predictOptions({ ...others, adapter }, 1), adapter, metrics: expectMetrics(metrics) },
    mistakes: mistakes === undefined ? undefined : expectPositiveInteger('mistakes', mistakes),
  };
}

import { BertuneError } from '../errors.js';
import { definitionOf, expectMethod, type Method, type MethodKind } from '../methods/index.js';
import type { Anchor } from '../methods/method.js';
import { option } from '../options/names.js';
import { expectPositiveInteger } from '../options/validation.js';

/*
 * The defaults of a run: a learning rate for the method and the size of the model, and enough
 * steps to learn something on small data. Both are the method's own (lib/methods).
 */

/** Longer texts teach more per step and cost more, so proportionally fewer steps will do. */
const SHORT_TEXT = 128;

const LEAST_EPOCHS = 3;
/** With a handful of examples, more passes teach nothing new. */
const MOST_EPOCHS = 100;

/** Share of the steps over which a default rate rises from 0: without it, high rates end at the most frequent class. */
const WARMUP_SHARE = 0.1;

/** Most rows in a log by default: enough for a curve, few enough to read. */
const MOST_LOG_ROWS = 50;
/** Round numbers of steps between rows, times a power of ten. */
const ROUND_STEPS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100];

/**
 * A Trainer's default learning rate for a method and a size of model.
 *
 * @param method with its options: LoRA's rank counts, and whether a prefix has a network
 * @param hiddenSize of the model, `hidden_size` in its config.json
 * @returns two significant digits, interpolated on logarithms between measured sizes; beyond them, the rate of the nearest
 * @throws BertuneError INVALID_OPTION, also for a method that is not trained in steps
 */
export function defaultLearningRate(method: Method, hiddenSize: number): number {
  const chosen = expectMethod('method', method);
  const anchors = definitionOf(chosen.kind).rates(chosen);
  if (anchors.length === 0) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('method', chosen.kind)} is not trained in steps and has no learning rate`,
    );
  }
  return Number(rateAt(anchors, expectPositiveInteger('hiddenSize', hiddenSize)).toPrecision(2));
}

function rateAt(anchors: readonly Anchor[], size: number): number {
  const above = anchors.findIndex(({ hidden }) => hidden >= size);
  const to = anchors[above] ?? anchors.at(-1)!;
  const from = anchors[above - 1] ?? to;
  if (from === to) return to.rate;
  const share = Math.log(size / from.hidden) / Math.log(to.hidden / from.hidden);
  return from.rate * (to.rate / from.rate) ** share;
}

/** Training examples as the default number of epochs sees them. */
export interface TrainingSize {
  /** Optimizer steps per epoch. */
  stepsPerEpoch: number;
  /** Tokens of a training text, on average. */
  meanTokens: number;
}

/**
 * Epochs of a run that sets neither epochs nor steps: at least 3, and as many as come to the method's leastSteps; 1 of a method
 * that is not trained in steps.
 */
export function defaultEpochs(method: MethodKind, size: TrainingSize): number {
  if (definitionOf(method).isFitted) return 1;
  const wanted = Math.ceil(leastSteps(method, size) / size.stepsPerEpoch);
  return Math.max(LEAST_EPOCHS, Math.min(MOST_EPOCHS, wanted));
}

/** Optimizer steps of a run that sets neither epochs nor steps. */
export function defaultSteps(method: MethodKind, size: TrainingSize): number {
  return defaultEpochs(method, size) * size.stepsPerEpoch;
}

function leastSteps(method: MethodKind, { meanTokens }: TrainingSize): number {
  return Math.round(definitionOf(method).leastSteps * Math.min(1, SHORT_TEXT / meanTokens));
}

/** What a default number of epochs was chosen by, in words. */
export function defaultEpochsReason(method: MethodKind, size: TrainingSize): string {
  const least = leastSteps(method, size);
  if (LEAST_EPOCHS * size.stepsPerEpoch >= least) return `${LEAST_EPOCHS} epochs`;
  return MOST_EPOCHS * size.stepsPerEpoch < least ? `at most ${MOST_EPOCHS} epochs` : `at least ${least} steps`;
}

/** Steps of warm-up of a run that is told neither a learning rate nor a warm-up; none where there are fewer than ten. */
export function defaultWarmupSteps(totalSteps: number): number {
  return Math.floor(WARMUP_SHARE * totalSteps);
}

/** Steps between rows of the log that give a run of any length at most 50 rows, and seldom fewer than 30. */
export function defaultLoggingSteps(totalSteps: number): number {
  const least = totalSteps / MOST_LOG_ROWS;
  const power = 10 ** Math.max(0, Math.floor(Math.log10(least)) - 1);
  return power * ROUND_STEPS.find((steps) => power * steps >= least)!;
}

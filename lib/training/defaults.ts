import { METHOD_KINDS, type MethodKind } from '../methods.js';
import { expectOneOf, expectPositiveInteger } from '../options.js';

/*
 * What a run is trained with where nobody says: a learning rate for the method and the size of the model, and enough
 * steps to learn something on small data.
 */

/**
 * Learning rates by hidden size, with a warm-up of WARMUP_SHARE and a linear decay.
 *
 * - hidden 256: measured on bert-mini with small data sets of 2 to 12 classes.
 * - hidden 768 and 1024, full: the BERT paper (arXiv:1810.04805, appendix A.3) trains with 5e-5, 3e-5 or 2e-5.
 * - lora: the LoRA paper (arXiv:2106.09685, table 9) trains RoBERTa base with 4e-4 to 5e-4 and large with 2e-4 to 4e-4.
 * - prefix and linear: PEFT's examples of prompt methods for sequence classification train RoBERTa large with 1e-3.
 */
const LEARNING_RATES: Readonly<Record<MethodKind, readonly Anchor[]>> = {
  full: [
    { hidden: 256, rate: 3e-4 },
    { hidden: 768, rate: 5e-5 },
    { hidden: 1024, rate: 2e-5 },
  ],
  lora: [
    { hidden: 256, rate: 1.5e-3 },
    { hidden: 768, rate: 3e-4 },
    { hidden: 1024, rate: 2e-4 },
  ],
  prefix: [
    { hidden: 256, rate: 6e-4 },
    { hidden: 768, rate: 5e-4 },
    { hidden: 1024, rate: 3e-4 },
  ],
  linear: [
    { hidden: 256, rate: 1e-2 },
    { hidden: 768, rate: 1e-3 },
    { hidden: 1024, rate: 8e-4 },
  ],
};

/** A rate for models of a hidden size. */
interface Anchor {
  hidden: number;
  rate: number;
}

/** Optimiser steps that a method needs to get somewhere, whatever the size of the data. */
const LEAST_STEPS: Readonly<Record<MethodKind, number>> = { full: 600, lora: 1000, prefix: 2000, linear: 2000 };

const LEAST_EPOCHS = 3;
/** Of a handful of examples, more passes teach nothing new. */
const MOST_EPOCHS = 40;

/** Share of the steps over which a default rate rises from 0: without it, high rates end at the most frequent class. */
const WARMUP_SHARE = 0.1;

/** The most rows that the log has by default: enough for a curve, few enough to read. */
const MOST_LOG_ROWS = 50;
/** Steps between rows that people like to count in, times a power of ten. */
const ROUND_STEPS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100];

/**
 * The learning rate that a Trainer takes for a method on a model of a size where it is given none.
 *
 * @param method its kind
 * @param hiddenSize of the model, `hidden_size` in its config.json
 * @returns a rate of two significant digits; between sizes that were measured on a straight line of logarithms, beyond
 *   them that of the nearest
 * @throws BertuneError INVALID_OPTION
 */
export function defaultLearningRate(method: MethodKind, hiddenSize: number): number {
  const anchors = LEARNING_RATES[expectOneOf('method', method, METHOD_KINDS)];
  const size = expectPositiveInteger('hiddenSize', hiddenSize);
  const above = anchors.findIndex(({ hidden }) => hidden >= size);
  if (above < 0) return anchors.at(-1)!.rate;
  const to = anchors[above]!;
  const from = anchors[above - 1] ?? to;
  if (from === to) return to.rate;
  const share = Math.log(size / from.hidden) / Math.log(to.hidden / from.hidden);
  return Number((from.rate * (to.rate / from.rate) ** share).toPrecision(2));
}

/** Epochs of a run that is told neither epochs nor steps: at least 3, and as many as come to the method's LEAST_STEPS. */
export function defaultEpochs(method: MethodKind, stepsPerEpoch: number): number {
  return Math.max(LEAST_EPOCHS, Math.min(MOST_EPOCHS, Math.ceil(LEAST_STEPS[method] / stepsPerEpoch)));
}

/** What a default number of epochs was chosen by, in words. */
export function defaultEpochsReason(method: MethodKind, stepsPerEpoch: number): string {
  const least = LEAST_STEPS[method];
  if (LEAST_EPOCHS * stepsPerEpoch >= least) return `${LEAST_EPOCHS} epochs`;
  return MOST_EPOCHS * stepsPerEpoch < least ? `at most ${MOST_EPOCHS} epochs` : `at least ${least} steps`;
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

import type { Split } from '../data/types.js';
import { definitionOf } from '../methods/index.js';
import { longestFirst, mostTokens } from '../model/batches.js';
import { expectPositiveInteger, MOST_INT32 } from '../options/validation.js';
import { randomOrder, weightedOrder } from '../order.js';
import { type LossOptions, taskOf } from '../tasks/index.js';
import { TimeSlice } from '../time-slice.js';
import { defaultSteps } from './defaults.js';
import { type RunSettings, settleSettings, type TrainerSettings } from './options.js';
import { createSchedule } from './schedule.js';

/** Everything about a run that is known before its first step. */
export interface RunPlan {
  /** What was open is filled in. */
  settings: RunSettings;
  examples: number;
  /** Micro-batches an epoch, the last one perhaps smaller. */
  batchesPerEpoch: number;
  /** Optimizer steps an epoch, the last one perhaps of fewer micro-batches. */
  stepsPerEpoch: number;
  totalSteps: number;
  /** Steps of a run on these texts that is told neither epochs nor steps. */
  usualSteps: number;
  /** Passes begun; the last one is perhaps not finished. */
  epochs: number;
  warmupSteps: number;
  /** Learning rate of a step, counted from 0. */
  learningRate: (step: number) => number;
  /** Most tokens of any so many consecutive micro-batches of the run. */
  tokensOf: (microBatches: number) => Promise<number>;
  /** Order of the examples in an epoch, counted from 0. */
  orderOf: (epoch: number) => Int32Array;
}

/** Epochs whose batches are looked at before a run. Of more, every batch might be of the longest texts. */
const LOOKED_AT = 1000;

/**
 * Plans a run as Hugging Face's Trainer does.
 *
 * @param offsets where each training text starts, (N + 1)
 * @param weights by which an epoch's examples are drawn (N). Defaults to none: each comes once
 * @throws BertuneError ABORTED; INVALID_OPTION for more steps than can be counted
 */
export async function planRun(
  offsets: Int32Array,
  given: TrainerSettings,
  signal: AbortSignal | undefined,
  weights: Float64Array | null = null,
): Promise<RunPlan> {
  const { batchSize, gradientAccumulation, learningRate, seed } = given;
  const examples = offsets.length - 1;
  // What is solved for at once takes one step.
  const batchesPerEpoch = definitionOf(given.method.kind).isFitted ? 1 : Math.ceil(examples / batchSize);
  const stepsPerEpoch = Math.ceil(batchesPerEpoch / gradientAccumulation);
  const meanTokens = offsets[examples]! / examples;
  const { settings, totalSteps } = settleSettings(given, { stepsPerEpoch, meanTokens });
  const { warmupSteps } = settings;
  const epochs = Math.ceil(totalSteps / stepsPerEpoch);
  expectPositiveInteger(`${given.maxSteps === null ? 'epochs' : 'maxSteps'} in steps`, totalSteps, MOST_INT32);

  const orderOf = (epoch: number) =>
    weights === null ? randomOrder(seed + epoch, examples) : weightedOrder(seed + epoch, weights);
  const tokensOf = async (microBatches: number): Promise<number> => {
    if (epochs > LOOKED_AT) {
      const longest = longestFirst(offsets);
      // With replacement a batch may be of the longest text alone, as often as an epoch draws.
      const drawn = Math.min(microBatches * batchSize, examples);
      const worst = weights === null ? longest : new Int32Array(drawn).fill(longest[0]!);
      return mostTokens(offsets, worst, batchSize, microBatches);
    }
    const slice = new TimeSlice(signal);
    let tokens = 0;
    for (let epoch = 0; epoch < epochs; epoch++) {
      tokens = Math.max(tokens, mostTokens(offsets, orderOf(epoch), batchSize, microBatches));
      if (slice.isOver) await slice.next();
    }
    return tokens;
  };
  return {
    settings,
    examples,
    batchesPerEpoch,
    stepsPerEpoch,
    totalSteps,
    usualSteps: defaultSteps(settings.method.kind, { stepsPerEpoch, meanTokens }),
    epochs,
    warmupSteps,
    learningRate: createSchedule(settings.schedule, {
      ...{ learningRate, totalSteps, warmupSteps },
      cycles: settings.scheduleCycles,
      power: settings.schedulePower,
    }),
    tokensOf,
    orderOf,
  };
}

/** Weights by which every class that occurs is drawn equally often (N). */
export function samplingWeights(labels: Int32Array, counts: readonly number[]): Float64Array {
  return Float64Array.from(labels, (label) => 1 / counts[label]!);
}

/** The loss of a model that has learnt nothing: of all classes alike, of a coin per label, or of the mean of the values. */
export function guessingLoss(
  { task, labels, labelNames }: Split,
  { focalGamma }: Pick<TrainerSettings, 'focalGamma'>,
): number {
  const { labels: kind } = taskOf(task);
  const columns = labelNames.length;
  if (kind === 'class') return (1 - 1 / columns) ** focalGamma * Math.log(columns);
  if (kind === 'classes') return 0.5 ** focalGamma * Math.LN2;
  const [sums, squares] = [new Float64Array(columns), new Float64Array(columns)];
  for (const [i, value] of labels.entries()) sums[i % columns]! += value;
  const examples = labels.length / columns;
  for (const [i, value] of labels.entries()) squares[i % columns]! += (value - sums[i % columns]! / examples) ** 2;
  return squares.reduce((sum, square) => sum + square, 0) / labels.length;
}

/**
 * How the loss of a run is measured.
 *
 * @param data training examples in all, and that have each label (NC); null before they are known, where there are no balanced
 *   weights
 */
export function lossOptions(
  { labelSmoothing, focalGamma, classWeights, positiveWeights }: TrainerSettings,
  data: { counts: readonly number[]; examples: number } | null,
): LossOptions {
  return {
    labelSmoothing,
    focalGamma,
    classWeights: classWeights === 'balanced' ? data && balancedWeights(data.counts) : classWeights,
    positiveWeights:
      positiveWeights === 'balanced' ? data && positiveBalance(data.counts, data.examples) : positiveWeights,
  };
}

/** scikit-learn's 'balanced': N / (classes that occur · count of the class); 1 for a class that does not occur. */
export function balancedWeights(counts: readonly number[]): number[] {
  const examples = counts.reduce((sum, count) => sum + count, 0);
  const occurring = counts.filter((count) => count > 0).length;
  return counts.map((count) => (count === 0 ? 1 : examples / (occurring * count)));
}

/** Examples without a label for each that has it; 1 where there are none of either. */
function positiveBalance(counts: readonly number[], examples: number): number[] {
  return counts.map((count) => (count === 0 || count === examples ? 1 : (examples - count) / count));
}

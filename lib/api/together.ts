import type { Split } from '../data/dataset.js';
import { expectObject, invalidOption } from '../options/validation.js';
import type { TaskKind } from '../tasks/index.js';
import type { TrainResult } from '../training/events.js';
import { Lockstep, MOST_TOGETHER } from '../training/lockstep.js';
import { Trainer, type TrainOptions } from './trainer.js';

/** Options of `trainTogether`. */
export interface TrainTogetherOptions extends Pick<TrainOptions, 'validation' | 'metrics' | 'signal'> {}

/**
 * Trains several LoRA configurations in one pass over the base that they share: each micro-batch goes through the frozen
 * weights once for all of them, then through the updates, head and loss of each. Each has its own gradients, norm, clipping,
 * AdamW, log, evaluations and checkpoints, and reaches what it would reach alone, but for rounding: sums are added up in
 * another order. Activations take the memory of all of them. A configuration that stops early, or fails, drops out.
 *
 * The configurations may differ in the options of `lora` and in learning rate, schedule, evaluation and saving; the rest, the
 * model's checkpoint and the steps are the same. Afterwards the models share one memory, which is free once all are disposed.
 *
 * @param trainers 2 to 8, of a model each that was loaded from the same checkpoint
 * @param train the training split
 * @returns what became of each, in their order, as of `Promise.allSettled`. A trainer is rejected with what `Trainer.train`
 *   throws; with INVALID_OPTION for what cannot train together; with OUT_OF_MEMORY, before its first step, where fewer may fit
 * @throws BertuneError INVALID_OPTION
 */
export async function trainTogether<Kind extends TaskKind>(
  trainers: readonly Trainer<Kind>[],
  train: Split,
  options: TrainTogetherOptions = {},
): Promise<PromiseSettledResult<TrainResult<Kind>>[]> {
  const given = expectObject('options', options, ['validation', 'metrics', 'signal']);
  const isSome = Array.isArray(trainers) && trainers.length >= 2 && trainers.length <= MOST_TOGETHER;
  if (!isSome || !trainers.every((trainer) => trainer instanceof Trainer) || new Set(trainers).size < trainers.length) {
    throw invalidOption('trainers', `an array of 2 to ${MOST_TOGETHER} different Trainers`, trainers);
  }
  const lockstep = new Lockstep(trainers.length);
  return Promise.allSettled(
    trainers.map(async (trainer, run) => {
      const lane = lockstep.lane(run);
      return trainer.trainInLane(lane, train, given).finally(() => lane.leave());
    }),
  );
}

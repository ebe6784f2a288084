import {
  expectNonNegativeInteger,
  expectNumberInRange,
  expectOneOf,
  expectPositiveInteger,
} from '../options/validation.js';

/** The shapes a learning rate can follow after its warm-up. */
export const SCHEDULES = Object.freeze(['linear', 'constant', 'cosine'] as const);

/**
 * - `linear`: falls in a straight line to zero at the last step.
 * - `constant`: stays as it is.
 * - `cosine`: falls to zero along half a cosine wave.
 */
export type ScheduleName = (typeof SCHEDULES)[number];

/** What a schedule is made of. */
export interface ScheduleOptions {
  /** The highest rate, reached when the warm-up ends. At least 0. */
  learningRate: number;
  /** Optimiser steps of the whole run. */
  totalSteps: number;
  /** Steps over which the rate rises from 0 in a straight line. Defaults to 0. */
  warmupSteps?: number;
}

/**
 * A learning-rate schedule, number by number that of transformers' `get_scheduler` (`linear`,
 * `constant_with_warmup` and `cosine` there).
 *
 * @param name the shape after the warm-up
 * @returns the learning rate of optimiser step `step`, counted from 0: with no warm-up step 0 has the full rate
 * @throws INVALID_OPTION when an argument is of the wrong type or out of range
 */
export function createSchedule(name: ScheduleName, options: ScheduleOptions): (step: number) => number {
  expectOneOf('schedule', name, SCHEDULES);
  const learningRate = expectNumberInRange('learningRate', options.learningRate, { min: 0 });
  const totalSteps = expectPositiveInteger('totalSteps', options.totalSteps);
  const warmupSteps = expectNonNegativeInteger('warmupSteps', options.warmupSteps ?? 0);

  const fallingSteps = Math.max(1, totalSteps - warmupSteps);
  const factor = {
    linear: (step: number) => Math.max(0, (totalSteps - step) / fallingSteps),
    constant: () => 1,
    cosine: (step: number) => Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / fallingSteps))),
  }[name];
  return (step) => learningRate * (step < warmupSteps ? step / warmupSteps : factor(step));
}

import {
  expectNonNegativeInteger,
  expectNumberInRange,
  expectOneOf,
  expectPositiveInteger,
} from '../options/validation.js';

/** The shapes a learning rate can follow after its warm-up. */
export const SCHEDULES = Object.freeze([
  'linear',
  'constant',
  'cosine',
  'cosine_with_restarts',
  'polynomial',
  'inverse_sqrt',
] as const);

/**
 * - `linear`: falls in a straight line to zero at the last step.
 * - `constant`: stays as it is.
 * - `cosine`: falls to zero along half a cosine wave.
 * - `cosine_with_restarts`: the same `cycles` times, starting at the full rate each time.
 * - `polynomial`: falls to 1e-7 as the share of steps left to the `power`; 1 is a straight line.
 * - `inverse_sqrt`: falls as one over the square root of the steps, never to zero; the longer the warm-up (10,000 steps without
 *   one), the slower.
 */
export type ScheduleName = (typeof SCHEDULES)[number];

/** What `polynomial` falls to, as in transformers. */
const LAST_RATE = 1e-7;

/** Of `inverse_sqrt` without a warm-up, as in transformers. */
const USUAL_TIMESCALE = 10_000;

/** What a schedule is made of. */
export interface ScheduleOptions {
  /** The highest rate, reached when the warm-up ends. At least 0. */
  learningRate: number;
  /** Optimizer steps of the whole run. */
  totalSteps: number;
  /** Steps over which the rate rises from 0 in a straight line. Defaults to 0. */
  warmupSteps?: number;
  /** How often `cosine_with_restarts` starts at the full rate. Defaults to 1. */
  cycles?: number;
  /** Of `polynomial`, above 0. Defaults to 1. */
  power?: number;
}

/**
 * A learning-rate schedule, number by number that of transformers' `get_scheduler` (`constant` is
 * `constant_with_warmup` there).
 *
 * @param name the shape after the warm-up
 * @returns the learning rate of optimizer step `step`, counted from 0: with no warm-up step 0 has the full rate
 * @throws INVALID_OPTION when an argument is of the wrong type or out of range
 */
export function createSchedule(name: ScheduleName, options: ScheduleOptions): (step: number) => number {
  expectOneOf('schedule', name, SCHEDULES);
  // There is nothing to fall from.
  const least = name === 'polynomial' ? { min: LAST_RATE, minExclusive: true } : { min: 0 };
  const learningRate = expectNumberInRange('learningRate', options.learningRate, least);
  const totalSteps = expectPositiveInteger('totalSteps', options.totalSteps);
  const warmupSteps = expectNonNegativeInteger('warmupSteps', options.warmupSteps ?? 0);

  const cycles = expectPositiveInteger('cycles', options.cycles ?? 1);
  const power = expectNumberInRange('power', options.power ?? 1, { min: 0, minExclusive: true });

  const fallingSteps = Math.max(1, totalSteps - warmupSteps);
  const factor = {
    linear: (step: number) => Math.max(0, (totalSteps - step) / fallingSteps),
    constant: () => 1,
    cosine: (step: number) => Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / fallingSteps))),
    cosine_with_restarts: (step: number) => {
      const done = (step - warmupSteps) / fallingSteps;
      return done >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * done) % 1))));
    },
    polynomial: (step: number) => {
      const end = LAST_RATE / learningRate;
      return step > totalSteps ? end : (1 - end) * (1 - (step - warmupSteps) / fallingSteps) ** power + end;
    },
    inverse_sqrt: (step: number) => {
      const timescale = warmupSteps || USUAL_TIMESCALE;
      return 1 / Math.sqrt((step + timescale - warmupSteps) / timescale);
    },
  }[name];
  return (step) => learningRate * (step < warmupSteps ? step / warmupSteps : factor(step));
}

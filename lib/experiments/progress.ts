import type { TaskKind } from '../tasks/index.js';
import type { Progress } from '../training/events.js';

/** Where a run stands. */
export interface RunProgress {
  /** Optimiser steps. */
  readonly done: number;
  readonly total: number;
  readonly epoch: number;
  readonly epochs: number;
  readonly loss: number;
  /** Undefined in regression, which has none. */
  readonly accuracy?: number;
  readonly secondsLeft: number;
}

/** A trainer's progress as people are shown it. */
export function runProgress(progress: Progress, task: TaskKind): RunProgress {
  const { step, totalSteps, epoch, epochs, loss, accuracy, secondsLeft } = progress;
  const right = task === 'regression' ? {} : { accuracy };
  return { done: step, total: totalSteps, epoch, epochs, loss, ...right, secondsLeft };
}

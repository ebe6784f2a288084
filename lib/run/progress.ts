import type { Progress } from '../training/events.js';

/** Where a run stands. */
export interface RunProgress {
  /** Optimiser steps. */
  readonly done: number;
  readonly total: number;
  readonly epoch: number;
  readonly epochs: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly secondsLeft: number;
}

/** A trainer's progress as people are shown it. */
export function runProgress({ step, totalSteps, epoch, epochs, loss, accuracy, secondsLeft }: Progress): RunProgress {
  return { done: step, total: totalSteps, epoch, epochs, loss, accuracy, secondsLeft };
}

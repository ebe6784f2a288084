import type { EvaluateRow, LogRow } from '../events.js';
import type { Trainer } from '../trainer.js';

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

/** Follows a trainer: its progress, and every row that it logs. */
export function watchTrainer(
  trainer: Trainer,
  watcher: {
    onProgress?: ((progress: RunProgress) => void) | undefined;
    onLog?: ((row: LogRow | EvaluateRow) => void) | undefined;
  },
): void {
  const { onProgress, onLog } = watcher;
  if (onProgress) {
    trainer.on('progress', ({ step, totalSteps, epoch, epochs, loss, accuracy, secondsLeft }) =>
      onProgress({ done: step, total: totalSteps, epoch, epochs, loss, accuracy, secondsLeft }),
    );
  }
  if (onLog) {
    trainer.on('log', (row) => onLog(row));
    trainer.on('evaluate', (row) => onLog(row));
  }
}

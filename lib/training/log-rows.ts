import type { EvaluateResult } from '../model/evaluation.js';
import { type MetricName, taskOf } from '../tasks/index.js';

/** A row of the log of steps. Names as Hugging Face's Trainer logs them. */
export interface LogRow {
  /** Mean loss of the steps since the last row. */
  loss: number;
  /** Global gradient norm of the last step, before clipping. */
  grad_norm: number;
  /** Learning rate of the last step. */
  learning_rate: number;
  /** Epochs done, with their fraction. */
  epoch: number;
  /** Optimiser steps done. */
  step: number;
}

/**
 * A row of the log for an evaluation while training, with the metrics of the task: `eval_accuracy`, `eval_f1_macro`, `eval_mse`,
 * ... Precision, recall and f1_macro are macro averages.
 */
export interface EvaluateRow extends Partial<Record<`eval_${MetricName}`, number | null>> {
  eval_loss: number;
  /** Seconds. */
  eval_runtime: number;
  eval_samples_per_second: number;
  eval_steps_per_second: number;
  epoch: number;
  step: number;
}

/** The last row of the log. */
export interface TrainSummaryRow {
  /** Seconds, evaluations included. */
  train_runtime: number;
  train_samples_per_second: number;
  train_steps_per_second: number;
  /** Mean loss of all steps. */
  train_loss: number;
  epoch: number;
  step: number;
}

/** A row of the log, of any kind. */
export type LogHistoryRow = LogRow | EvaluateRow | TrainSummaryRow;

/** The row of the log for an evaluation; times rounded as transformers' `speed_metrics` does. */
export function evaluateRow(result: EvaluateResult, epoch: number, step: number): EvaluateRow {
  const scores = taskOf(result.task).metrics.map(({ name }) => [`eval_${name}`, result[name]]);
  return {
    eval_loss: result.loss,
    ...Object.fromEntries(scores),
    eval_runtime: roundTo(result.runtime, 4),
    eval_samples_per_second: roundTo(result.samplesPerSecond, 3),
    eval_steps_per_second: roundTo(result.stepsPerSecond, 3),
    epoch,
    step,
  };
}

/** A number to so many decimals. */
export function roundTo(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

import type { Calibration } from '../model/evaluation.js';
import type { MemoryReport } from '../model/session.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import type { TaskKind } from '../tasks/index.js';
import type { EpochRow } from './position.js';
import type { EvaluateRow, LogHistoryRow, LogRow, TrainerState } from './state.js';

/** Where a run of training stands, several times a second. */
export interface Progress {
  /** Optimiser steps done. */
  step: number;
  totalSteps: number;
  /** Epochs done, with their fraction. */
  epoch: number;
  epochs: number;
  /** Mean loss of the latest steps. */
  loss: number;
  /**
   * Share of right predictions in the latest steps, as seen in training (dropout on): of a multi-label model examples whose every
   * label is right; 0 in regression, which has none.
   */
  accuracy: number;
  /** Global gradient norm of the last step, before clipping. */
  gradNorm: number;
  /** Learning rate of the last step. */
  learningRate: number;
  /** Since the start of training, evaluations left out. */
  stepsPerSecond: number;
  samplesPerSecond: number;
  /** Estimated seconds until the end, evaluations included. */
  secondsLeft: number;
}

/** An epoch that has ended. */
export interface EpochSummary {
  /** Epochs done: 1 after the first. Fractional when `maxSteps` or `epochs` ends inside one. */
  epoch: number;
  epochs: number;
  step: number;
  /** Mean loss of the epoch's steps. */
  trainLoss: number;
  /** Share of right predictions in the epoch, counted as in Progress. */
  trainAccuracy: number;
  /** On the validation split; null where it was not evaluated. */
  evaluation: EvaluateResult | null;
}

/** What a run of training came to. */
export interface TrainResult<Kind extends TaskKind = TaskKind> {
  /** 'early': early stopping ended it. */
  stopped: 'done' | 'early';
  /** Optimiser steps done. */
  steps: number;
  /** Epochs done, with their fraction. */
  epochs: number;
  /** Mean loss of all steps. */
  trainLoss: number;
  /** Seconds, evaluations included. */
  runtime: number;
  samplesPerSecond: number;
  stepsPerSecond: number;
  /** Training texts that were longer than allowed and were cut. */
  truncated: number;
  /** All rows that were logged, the summary last. */
  logHistory: readonly LogHistoryRow[];
  /** What trainer_state.json holds. */
  state: TrainerState;
  memory: MemoryReport;
  trainableParameters: number;
  totalParameters: number;
  /** The best value of `metricForBest` and its step; null where no best epoch was looked for. */
  best: { metric: number; step: number; epoch: number } | null;
  /**
   * The last evaluation on the validation split, with `loadBestModel` that of the best epoch; null where none was made since
   * the run began, or went on.
   */
  evaluation: EvaluateResult<Kind> | null;
  /** What `calibrate` came to, on the validation split; null where it was not asked for. */
  calibration: Calibration | null;
  /** Training examples that have each label (NC), in the order of the model's; of values, how many there are. */
  classCounts: readonly number[];
  /**
   * What to do differently next time, in sentences, from what was seen: a loss that is still falling, or has run away; a
   * validation loss that rises; a class that is never predicted; predictions no better than guesses. Empty after a good run.
   */
  advice: readonly string[];
}

/** Events of a Trainer with the arguments of their listeners. */
export interface TrainerEvents {
  /** Before the first step: what is going to be done. */
  start: [plan: TrainingPlan];
  log: [row: LogRow];
  evaluate: [row: EvaluateRow, result: EvaluateResult];
  progress: [progress: Progress];
  epoch: [summary: EpochSummary];
  /** After a checkpoint was saved. */
  save: [checkpoint: SavedCheckpoint];
}

/** A checkpoint that was saved. */
export interface SavedCheckpoint {
  /** `checkpoint-N` in the run's output directory. */
  directory: string;
  step: number;
  epoch: number;
}

/** What a run goes on from. */
export interface Resumption {
  /** Of the checkpoint. */
  directory: string;
  /** Optimiser steps done. */
  step: number;
  /** The epochs that had ended. */
  epochs: readonly EpochRow[];
  /** What may make last bits differ: another device, number of threads or BLAS library. */
  notes: readonly string[];
}

/** What a run of training is going to do. */
export interface TrainingPlan {
  totalSteps: number;
  stepsPerEpoch: number;
  epochs: number;
  warmupSteps: number;
  /** Of an epoch; where long texts are read in windows, those. */
  examples: number;
  /** Σ tokens of the training texts. */
  tokens: number;
  /** Training texts that were longer than allowed and were cut. */
  truncated: number;
  /** Weight of each class in the loss (NC), in the order of the model's labels, also where they are balanced; null: none. */
  classWeights: readonly number[] | null;
  /** Weight of the examples that have each label (NC), of a multi-label model; null: none. */
  positiveWeights: readonly number[] | null;
  trainableParameters: number;
  totalParameters: number;
  /** How the labels of the splits were matched with the model's, where names differ in case or spaces or are numbers. */
  notes: readonly string[];
  /** null: it starts at the beginning. */
  resumed: Resumption | null;
}

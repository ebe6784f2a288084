import type { Calibration } from '../model/evaluation.js';
import type { MemoryReport } from '../model/session.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import type { TaskKind } from '../tasks/index.js';
import type { EpochRow } from './position.js';
import type { EvaluateRow, LogHistoryRow, LogRow, TrainerState } from './state.js';

/** Progress of training, several times a second. */
export interface Progress {
  /** Optimizer steps done. */
  step: number;
  totalSteps: number;
  /** Epochs done, with their fraction. */
  epoch: number;
  epochs: number;
  /** Mean loss of the latest steps. */
  loss: number;
  /**
   * Share of right predictions in the latest steps, measured in training (with dropout): for multi-label, examples with every
   * label right; for regression always 0.
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

/** A finished epoch. */
export interface EpochSummary {
  /** Epochs done: 1 after the first. Fractional when `maxSteps` or `epochs` ends inside one. */
  epoch: number;
  epochs: number;
  step: number;
  /** Mean loss of the epoch's steps. */
  trainLoss: number;
  /** Share of right predictions in the epoch, counted as in Progress. */
  trainAccuracy: number;
  /** On the validation split; null if it was not evaluated. */
  evaluation: EvaluateResult | null;
}

/** The result of training. */
export interface TrainResult<Kind extends TaskKind = TaskKind> {
  /** 'early': early stopping ended it. */
  stopped: 'done' | 'early';
  /** Optimizer steps done. */
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
  /** All rows of the log, the summary last. */
  logHistory: readonly LogHistoryRow[];
  /** What trainer_state.json holds. */
  state: TrainerState;
  memory: MemoryReport;
  trainableParameters: number;
  totalParameters: number;
  /** The best value of `metricForBest` and its step; null if no best epoch was sought. */
  best: { metric: number; step: number; epoch: number } | null;
  /**
   * The last evaluation on the validation split, with `loadBestModel` that of the best epoch; null if there was none since the
   * run started or resumed.
   */
  evaluation: EvaluateResult<Kind> | null;
  /** The result of `calibrate`; null without it. */
  calibration: Calibration | null;
  /** Training examples with each label (NC), in the order of the model's labels; for regression, the number of values. */
  classCounts: readonly number[];
  /**
   * What to do differently next time, in sentences: a loss that is still falling, or has diverged; a validation loss that
   * rises; a class that is never predicted; predictions no better than guesses. Empty after a good run.
   */
  advice: readonly string[];
}

/** Events of a Trainer, with the arguments of their listeners. */
export interface TrainerEvents {
  /** Before the first step: what is about to be done. */
  start: [plan: TrainingPlan];
  log: [row: LogRow];
  evaluate: [row: EvaluateRow, result: EvaluateResult];
  progress: [progress: Progress];
  epoch: [summary: EpochSummary];
  /** After a checkpoint was saved. */
  save: [checkpoint: SavedCheckpoint];
}

/** A saved checkpoint. */
export interface SavedCheckpoint {
  /** `checkpoint-N` in the run's output directory. */
  directory: string;
  step: number;
  epoch: number;
}

/** What a run resumes from. */
export interface Resumption {
  /** The checkpoint's. */
  directory: string;
  /** Optimizer steps done. */
  step: number;
  /** The epochs that were finished. */
  epochs: readonly EpochRow[];
  /** What may change the last bits: another device, number of threads or BLAS library. */
  notes: readonly string[];
}

/** What training is about to do. */
export interface TrainingPlan {
  totalSteps: number;
  stepsPerEpoch: number;
  epochs: number;
  warmupSteps: number;
  /** Examples per epoch; with windows, the number of windows. */
  examples: number;
  /** Σ tokens of the training texts. */
  tokens: number;
  /** Training texts that were longer than allowed and were cut. */
  truncated: number;
  /** Weight of each class in the loss (NC), in the order of the model's labels; null: none. */
  classWeights: readonly number[] | null;
  /** Multi-label: weight of the examples that have each label (NC); null: none. */
  positiveWeights: readonly number[] | null;
  trainableParameters: number;
  totalParameters: number;
  /** How the splits' labels were matched with the model's, if names differ in case or spaces or are numbers. */
  notes: readonly string[];
  /** null: the run starts at the beginning. */
  resumed: Resumption | null;
}

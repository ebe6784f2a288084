import { readJsonObject } from '../files/input.js';
import { JsonFields } from '../files/json.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { type MetricName, taskOf } from '../tasks/index.js';

/** The file beside a model or in a checkpoint that holds the state of its training. */
export const STATE_FILE = 'trainer_state.json';

/** What trainer_state.json holds, with all the keys that transformers' TrainerState writes. */
export interface TrainerState {
  best_global_step: number | null;
  best_metric: number | null;
  best_model_checkpoint: string | null;
  epoch: number;
  eval_steps: number;
  global_step: number;
  is_hyper_param_search: boolean;
  is_local_process_zero: boolean;
  is_world_process_zero: boolean;
  log_history: LogHistoryRow[];
  logging_steps: number;
  max_steps: number;
  num_input_tokens_seen: number;
  num_train_epochs: number;
  save_steps: number;
  stateful_callbacks: Record<string, unknown>;
  total_flos: number;
  train_batch_size: number;
  trial_name: string | null;
  trial_params: Record<string, unknown> | null;
}

/** transformers' default for steps between evaluations and log rows. */
const HF_STEPS = 500;

/**
 * The state of a run that has not begun. Keys without a meaning here have transformers' defaults.
 *
 * @param run.loggingSteps as in TrainerOptions, and so is `saveSteps`
 * @param run.epochs passes over the data, the last one perhaps not whole
 */
export function createTrainerState(run: {
  maxSteps: number;
  epochs: number;
  batchSize: number;
  loggingSteps: number | 'epoch';
  saveSteps: number;
}): TrainerState {
  return {
    best_global_step: null,
    best_metric: null,
    best_model_checkpoint: null,
    epoch: 0,
    eval_steps: HF_STEPS,
    global_step: 0,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: [],
    logging_steps: run.loggingSteps === 'epoch' ? HF_STEPS : run.loggingSteps,
    max_steps: run.maxSteps,
    num_input_tokens_seen: 0,
    num_train_epochs: run.epochs,
    save_steps: run.saveSteps,
    stateful_callbacks: {},
    total_flos: 0,
    train_batch_size: run.batchSize,
    trial_name: null,
    trial_params: null,
  };
}

/** A row of the log for steps, with the names of Hugging Face's Trainer. */
export interface LogRow {
  /** Mean loss of the steps since the last row. */
  loss: number;
  /** Global gradient norm of the last step, before clipping. */
  grad_norm: number;
  /** Learning rate of the last step. */
  learning_rate: number;
  /** Epochs done, with their fraction. */
  epoch: number;
  /** Optimizer steps done. */
  step: number;
}

/**
 * A row of the log for an evaluation in training, with the task's metrics: `eval_accuracy`, `eval_f1_macro`, `eval_mse`, ...
 * Precision, recall and f1_macro are macro averages.
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
    ...Object.fromEntries(Object.entries(result.custom ?? {}).map(([name, value]) => [`eval_${name}`, value])),
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

/** What a resumed run takes over from trainer_state.json; the rest follows from settings and position. */
type SavedState = Pick<
  TrainerState,
  'best_global_step' | 'best_metric' | 'best_model_checkpoint' | 'epoch' | 'global_step' | 'log_history'
>;

/** @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID */
export async function readTrainerState(path: string): Promise<SavedState> {
  const fields = new JsonFields(await readJsonObject(path), path);
  const known = <T>(name: string, read: (name: string) => T) => (fields.json[name] === null ? null : read(name));
  return {
    best_global_step: known('best_global_step', (name) => fields.count(name)),
    best_metric: known('best_metric', (name) => fields.number(name)),
    best_model_checkpoint: known('best_model_checkpoint', (name) => fields.text(name)),
    epoch: fields.number('epoch'),
    global_step: fields.count('global_step'),
    log_history: fields.objects('log_history').map(rowOf),
  };
}

/** A row of numbers; null stands for a number that JSON has no word for. */
function rowOf(fields: JsonFields): LogHistoryRow {
  for (const [name, value] of Object.entries(fields.json)) {
    if (value === null) fields.json[name] = Number.NaN;
    else fields.number(name);
  }
  return fields.json as unknown as LogHistoryRow;
}

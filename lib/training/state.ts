import type { LogHistoryRow } from './log-rows.js';

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

import type { EventEmitter } from 'node:events';
import { evaluateSplit, type LoadedSplit } from '../../model/evaluation.js';
import type { NativeSession } from '../../native/index.js';
import type { LossOptions } from '../../tasks/index.js';
import type { Decision } from '../../tasks/prediction.js';
import type { TrainerEvents } from '../events.js';
import type { EpochRow } from '../position.js';
import type { RunOutcome } from '../run.js';
import { evaluateRow, roundTo, type TrainerState, type TrainSummaryRow } from '../state.js';
import type { FitOutcome } from './classifier.js';

/** What a fit is told of as. */
export interface FitRunParts {
  fit: FitOutcome;
  examples: number;
  /** When it began, by performance.now(). */
  began: number;
  native: NativeSession;
  /** null: nothing is evaluated. */
  validation: LoadedSplit | null;
  decision: Decision;
  loss: LossOptions;
  /** Kept up to date. */
  state: TrainerState;
  signal: AbortSignal | undefined;
  events: EventEmitter<TrainerEvents>;
}

/**
 * Tells of a fit as of a run of one step over all examples: evaluates, logs, and emits 'evaluate' and 'epoch'.
 *
 * @throws BertuneError ABORTED, OUT_OF_MEMORY; whatever a listener throws
 */
export async function concludeFit(parts: FitRunParts): Promise<RunOutcome & { epochs: EpochRow[] }> {
  const { fit, examples, began, native, validation, decision, loss, state, signal, events } = parts;
  state.global_step = 1;
  state.epoch = 1;
  const evaluation = validation && (await evaluateSplit(native, validation, decision, loss, signal));
  if (evaluation) {
    const row = evaluateRow(evaluation, 1, 1);
    state.log_history.push(row);
    events.emit('evaluate', row, evaluation);
  }
  const epoch: EpochRow = { epoch: 1, step: 1, train_loss: fit.loss, train_accuracy: fit.accuracy };
  events.emit('epoch', { epoch: 1, epochs: 1, step: 1, trainLoss: fit.loss, trainAccuracy: fit.accuracy, evaluation });
  const runtime = (performance.now() - began) / 1000;
  const summary: TrainSummaryRow = {
    train_runtime: roundTo(runtime, 4),
    train_samples_per_second: roundTo(examples / runtime, 3),
    train_steps_per_second: roundTo(1 / runtime, 3),
    ...{ train_loss: fit.loss, epoch: 1, step: 1 },
  };
  state.log_history.push(summary);
  return { stopped: 'done', summary, evaluation, epochs: [epoch] };
}

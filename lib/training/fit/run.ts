import type { Method } from '../../methods/index.js';
import { evaluateSplit } from '../../model/evaluation.js';
import { decisionOf } from '../../tasks/prediction.js';
import { decide } from '../decide.js';
import type { CompletedRun } from '../outcome.js';
import { type EpochRow, startPosition } from '../position.js';
import { announceRun, type PreparedRun, withValidation } from '../prepare.js';
import { evaluateRow, roundTo, type TrainSummaryRow } from '../state.js';
import { fitClassifier } from './classifier.js';

/**
 * Solves for a model's classifier at once, and logs that as a run of one step over all examples.
 *
 * @param onMethod told what the method is once the fit has chosen what was open, before any event
 * @throws BertuneError as Trainer.train
 */
export async function trainAtOnce(prepared: PreparedRun, onMethod: (method: Method) => void): Promise<CompletedRun> {
  const { model, plan, methodPlan, examples, becomes, loss, state, signal, events } = prepared;
  const began = performance.now();
  await announceRun(prepared, startPosition(), null);
  const parts = { plan: methodPlan, settings: plan.settings, ...examples, becomes, loss, signal };
  const fit = await fitClassifier(model, parts);
  onMethod(fit.method);
  const { session } = model;
  return session.use((native) =>
    withValidation(prepared, session, async (validation) => {
      state.global_step = 1;
      state.epoch = 1;
      const evaluation = validation && (await evaluateSplit(native, validation, decisionOf(model), loss, signal));
      if (evaluation) {
        const row = evaluateRow(evaluation, 1, 1);
        state.log_history.push(row);
        events.emit('evaluate', row, evaluation);
      }
      const { loss: trainLoss, accuracy: trainAccuracy, method } = fit;
      events.emit('epoch', { epoch: 1, epochs: 1, step: 1, trainLoss, trainAccuracy, evaluation });
      const summary = summaryOf(trainLoss, plan.examples, (performance.now() - began) / 1000);
      state.log_history.push(summary);
      const epochs: EpochRow[] = [{ epoch: 1, step: 1, train_loss: trainLoss, train_accuracy: trainAccuracy }];
      const decided = await decide(prepared, native, validation, evaluation, null);
      return { stopped: 'done', summary, method, epochs, ...decided };
    }),
  );
}

function summaryOf(loss: number, examples: number, seconds: number): TrainSummaryRow {
  return {
    train_runtime: roundTo(seconds, 4),
    train_samples_per_second: roundTo(examples / seconds, 3),
    train_steps_per_second: roundTo(1 / seconds, 3),
    ...{ train_loss: loss, epoch: 1, step: 1 },
  };
}

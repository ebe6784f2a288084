import { formatFixed, formatMetric, formatSetting } from '../format.js';
import type { EpochSummary } from '../training/events.js';
import type { LogRow } from '../training/state.js';
import { headlineOf } from './measured.js';

/** A row of the log of steps in one line. */
export function logLine({ epoch, step, loss, grad_norm, learning_rate }: LogRow): string {
  return [
    `epoch ${formatFixed(epoch, 2)}`,
    `step ${step}`,
    `loss ${formatMetric(loss)}`,
    `gradient norm ${formatFixed(grad_norm, 3)}`,
    `learning rate ${formatSetting(Number(learning_rate.toPrecision(4)))}`,
  ].join('  ');
}

/** An epoch that has ended, in one line. */
export function epochLine({ epoch, epochs, step, trainLoss, evaluation }: EpochSummary): string {
  return [
    `epoch ${formatFixed(epoch, Number.isInteger(epoch) ? 0 : 2)}/${epochs}`,
    `step ${step}`,
    `training loss ${formatMetric(trainLoss)}`,
    ...(evaluation === null
      ? []
      : [`validation loss ${formatMetric(evaluation.loss)}`, ...headlineOf(evaluation.task, evaluation)]),
  ].join('  ');
}

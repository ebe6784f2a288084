import { formatFixed, formatMetric, formatSetting } from './format.js';
import type { LogRecord } from './records.js';

/**
 * A row of a training log in one line: a logged step or an evaluation.
 *
 * @returns undefined for a row that is neither, such as the summary at the end of a run
 */
export function logLine(row: LogRecord): string | undefined {
  const where = [`epoch ${formatFixed(row.epoch ?? 0, 2)}`, `step ${row.step ?? 0}`];
  if (row.eval_loss !== undefined) {
    return [
      ...where,
      `validation loss ${formatMetric(row.eval_loss)}`,
      `accuracy ${formatMetric(row.eval_accuracy)}`,
      `F1 macro ${formatMetric(row.eval_f1_macro)}`,
    ].join('  ');
  }
  if (row.loss === undefined) return undefined;
  const { grad_norm, learning_rate } = row;
  return [
    ...where,
    `loss ${formatMetric(row.loss)}`,
    ...(typeof grad_norm === 'number' ? [`gradient norm ${formatFixed(grad_norm, 3)}`] : []),
    ...(typeof learning_rate === 'number'
      ? [`learning rate ${formatSetting(Number(learning_rate.toPrecision(4)))}`]
      : []),
  ].join('  ');
}

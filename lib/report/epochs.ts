import { formatFixed, formatMetric } from './format.js';
import type { RunRecord } from './records.js';
import type { Table } from './table.js';

const TITLES = ['Epoch', 'Training Loss', 'Validation Loss', 'Accuracy', 'Precision', 'Recall', 'F1 Macro'];

/**
 * The epoch table of a run: Epoch, Training Loss, Validation Loss, Accuracy, Precision, Recall, F1 Macro. One line an
 * epoch; an epoch that was not evaluated stays open, and a run without evaluations has no columns for them.
 */
export function epochTable({ epoch_history, log_history }: Pick<RunRecord, 'epoch_history' | 'log_history'>): Table {
  // The first evaluation at a step.
  const evaluations = new Map(
    log_history
      .filter(({ eval_loss }) => eval_loss !== undefined)
      .map((row) => [row.step, row] as const)
      .reverse(),
  );
  const isBare = epoch_history.length > 0 && evaluations.size === 0;
  const titles = isBare ? TITLES.slice(0, 2) : TITLES;
  return {
    columns: titles.map((title) => ({ title, align: 'right' })),
    rows: epoch_history.map(({ epoch, step, train_loss }) => {
      const evaluation = evaluations.get(step);
      return [
        Number.isInteger(epoch) ? String(epoch) : formatFixed(epoch, 2),
        ...[
          train_loss,
          evaluation?.eval_loss,
          evaluation?.eval_accuracy,
          evaluation?.eval_precision,
          evaluation?.eval_recall,
          evaluation?.eval_f1_macro,
        ].map(formatMetric),
      ].slice(0, titles.length);
    }),
  };
}

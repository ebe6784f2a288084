import { formatFixed, formatMetric } from './format.js';
import type { RunRecord } from './records.js';
import type { Table } from './table.js';

const TITLES = ['Epoch', 'Training Loss', 'Validation Loss', 'Accuracy', 'Precision', 'Recall', 'F1 Macro'];

/**
 * The epoch table of a run: Epoch, Training Loss, Validation Loss, Accuracy, Precision, Recall, F1 Macro. One line an
 * epoch; what was not evaluated stays open.
 */
export function epochTable({ epoch_history, log_history }: Pick<RunRecord, 'epoch_history' | 'log_history'>): Table {
  return {
    columns: TITLES.map((title) => ({ title, align: 'right' })),
    rows: epoch_history.map(({ epoch, step, train_loss }) => {
      const evaluation = log_history.find((row) => row.step === step && row.eval_loss !== undefined);
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
      ];
    }),
  };
}

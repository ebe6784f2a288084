import { formatFixed, formatMetric, NO_VALUE } from './format.js';
import type { LogRecord } from './records.js';
import type { Table } from './table.js';

/** One line of a run's epoch table. */
interface EpochLine {
  readonly epoch: number;
  readonly trainingLoss: number | undefined;
  readonly evaluation: LogRecord | undefined;
}

/** The mean of logged losses; each row stands for the steps since the row before it. */
function meanLoss(rows: readonly { loss: number; steps: number }[]): number | undefined {
  const steps = rows.reduce((sum, row) => sum + row.steps, 0);
  return steps === 0 ? undefined : rows.reduce((sum, row) => sum + row.loss * row.steps, 0) / steps;
}

function epochLines(history: readonly LogRecord[]): EpochLine[] {
  const evaluated = history.some((row) => row.eval_loss !== undefined);
  const lines: EpochLine[] = [];
  let losses: { loss: number; steps: number }[] = [];
  let lastStep = 0;
  let lastEpoch = 0;
  const close = (epoch: number, evaluation?: LogRecord) => {
    lines.push({ epoch, trainingLoss: meanLoss(losses), evaluation });
    losses = [];
  };
  for (const row of history) {
    const epoch = row.epoch ?? 0;
    if (row.eval_loss !== undefined) {
      close(epoch, row);
    } else if (row.loss !== undefined) {
      // Without evaluations a row that lies beyond the last whole epoch closes that epoch.
      if (!evaluated && losses.length > 0 && Math.ceil(epoch) > Math.ceil(lastEpoch)) close(Math.ceil(lastEpoch));
      losses.push({ loss: row.loss, steps: (row.step ?? 0) - lastStep });
      lastStep = row.step ?? lastStep;
      lastEpoch = epoch;
    }
  }
  if (losses.length > 0) close(lastEpoch);
  return lines;
}

/**
 * The epoch table of a run: Epoch, Training Loss, Validation Loss, Accuracy, Precision, Recall, F1 Macro.
 * One line an evaluation, with the mean of the losses logged since the one before; one line an epoch where nothing was
 * evaluated.
 *
 * @param history log_history of trainer_state.json
 */
export function epochTable(history: readonly LogRecord[]): Table {
  return {
    columns: ['Epoch', 'Training Loss', 'Validation Loss', 'Accuracy', 'Precision', 'Recall', 'F1 Macro'].map(
      (title) => ({ title, align: 'right' as const }),
    ),
    rows: epochLines(history).map(({ epoch, trainingLoss, evaluation }) => [
      Number.isInteger(epoch) ? String(epoch) : formatFixed(epoch, 2),
      formatMetric(trainingLoss),
      ...(evaluation === undefined
        ? new Array<string>(5).fill(NO_VALUE)
        : [
            formatMetric(evaluation.eval_loss),
            formatMetric(evaluation.eval_accuracy),
            formatMetric(evaluation.eval_precision),
            formatMetric(evaluation.eval_recall),
            formatMetric(evaluation.eval_f1_macro),
          ]),
    ]),
  };
}

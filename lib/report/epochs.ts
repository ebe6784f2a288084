import { formatFixed, formatMetric } from '../format.js';
import { taskOf } from '../tasks/index.js';
import { shownMetrics } from './measured.js';
import type { RunRecord } from './records.js';
import type { Table } from './table.js';

/** Before the metrics. */
const TITLES = ['Epoch', 'Training Loss', 'Validation Loss'];

/**
 * The epoch table of a run: Epoch, Training Loss, Validation Loss and the metrics of its task (Accuracy, Precision, Recall, F1
 * Macro, ...). One line an epoch; an epoch that was not evaluated stays open, and a run without evaluations has no columns
 * for them.
 */
export function epochTable({
  task,
  epoch_history,
  log_history,
}: Pick<RunRecord, 'task' | 'epoch_history' | 'log_history'>): Table {
  const metrics = shownMetrics(taskOf(task ?? 'single-label'));
  // The first evaluation at a step.
  const evaluations = new Map(
    log_history
      .filter(({ eval_loss }) => eval_loss !== undefined)
      .map((row) => [row.step, row] as const)
      .reverse(),
  );
  const isBare = epoch_history.length > 0 && evaluations.size === 0;
  const titles = isBare ? TITLES.slice(0, 2) : [...TITLES, ...metrics.map(({ title }) => inTitleCase(title))];
  return {
    columns: titles.map((title) => ({ title, align: 'right' })),
    rows: epoch_history.map(({ epoch, step, train_loss }) => {
      const evaluation = evaluations.get(step);
      return [
        Number.isInteger(epoch) ? String(epoch) : formatFixed(epoch, 2),
        ...[train_loss, evaluation?.eval_loss, ...metrics.map(({ name }) => evaluation?.[`eval_${name}`])].map(
          formatMetric,
        ),
      ].slice(0, titles.length);
    }),
  };
}

/** `subset accuracy` as `Subset Accuracy`. */
function inTitleCase(title: string): string {
  return title.replace(/(^| )[a-z]/g, (start) => start.toUpperCase());
}

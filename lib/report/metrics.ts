import { formatCount, formatFixed, formatMetric } from '../format.js';
import type { RegressionScores } from '../metrics/regression.js';
import type { Averages } from '../metrics/single-label.js';
import { type Metric, type MetricName, type Task, type TaskKind, taskOf } from '../tasks/index.js';
import type { MetricsRecord, RunRecord } from './records.js';
import { right, type Table } from './table.js';

/** The split that a run was measured on, and how it did. */
interface Measured {
  readonly split: 'test' | 'validation';
  readonly metrics: MetricsRecord;
}

/** How a run did at its end: on the test split, or the validation split where there is no other; undefined where on none. */
export function measuredOn({ test, validation }: Pick<RunRecord, 'test' | 'validation'>): Measured | undefined {
  if (test !== undefined) return { split: 'test', metrics: test };
  return validation && { split: 'validation', metrics: validation };
}

/** The task of runs that are side by side, which share one. */
export function taskOfRuns(runs: readonly Pick<RunRecord, 'task'>[]): Task {
  return taskOf(runs.find(({ task }) => task !== undefined)?.task);
}

/** The metrics of a task that tables have. */
export function shownMetrics({ metrics }: Task): Metric[] {
  return metrics.filter(({ isShown }) => isShown);
}

/** What tables call a metric, or the loss. */
function titleOf(task: TaskKind | undefined, name: string): string {
  return taskOf(task).metrics.find((metric) => metric.name === name)?.title ?? name;
}

/** The metrics that sum an evaluation up, with their names: `accuracy 0.9300`. */
export function headlineOf(
  task: TaskKind | undefined,
  values: { readonly [Name in MetricName]?: number | null | undefined },
): string[] {
  return taskOf(task).headline.map((name) => `${titleOf(task, name)} ${formatMetric(values[name])}`);
}

/** The loss, and the metrics that sum an evaluation up. */
export function headlineRecord(metrics: MetricsRecord): { [name: string]: number | null | undefined } {
  const { headline } = taskOf(metrics.task);
  return { loss: metrics.loss, ...Object.fromEntries(headline.map((name) => [name, metrics[name]])) };
}

/** What a model in int8 loses or wins beside itself in fp32. */
export function differenceTable(int8: MetricsRecord, fp32: MetricsRecord): Table {
  const [found, exact] = [headlineRecord(int8), headlineRecord(fp32)];
  return {
    columns: [{ title: 'metric' }, ...['int8', 'fp32', 'difference'].map(right)],
    rows: Object.keys(found).map((name) => {
      const [a, b] = [found[name], exact[name]];
      const difference = typeof a === 'number' && typeof b === 'number' ? a - b : null;
      return [titleOf(int8.task, name), ...[a, b, difference].map(formatMetric)];
    }),
  };
}

/** The metrics of one split in one line. */
export function metricsTable(metrics: MetricsRecord): Table {
  const shown = shownMetrics(taskOf(metrics.task));
  return {
    columns: ['examples', 'loss', ...shown.map(({ title }) => title)].map(right),
    rows: [
      [formatCount(metrics.examples), ...[metrics.loss, ...shown.map(({ name }) => metrics[name])].map(formatMetric)],
    ],
  };
}

/**
 * Precision, recall and F1 by label, then their averages; in regression the metrics of each column.
 *
 * @param thresholds of the labels, which have a column where they were tuned
 */
export function labelTable(metrics: MetricsRecord, thresholds?: RunRecord['thresholds']): Table {
  const { columns = [], labels = [] } = metrics;
  const task = taskOf(metrics.task);
  if (task.labels === 'values') {
    const shown = shownMetrics(task) as { name: keyof RegressionScores; title: string }[];
    return {
      columns: [{ title: 'value' }, ...shown.map(({ title }) => right(title))],
      rows: columns.map((row) => [row.label, ...shown.map(({ name }) => formatMetric(row[name]))]),
    };
  }
  const averages = ({ precision, recall, f1 }: Averages) => [precision, recall, f1].map(formatMetric);
  const tuned = (label: string) => (thresholds === undefined ? [] : [formatFixed(thresholds[label], 2)]);
  const open = thresholds === undefined ? [] : [''];
  return {
    columns: [
      { title: 'label' },
      ...['precision', 'recall', 'F1', 'support', ...(thresholds === undefined ? [] : ['threshold'])].map(right),
    ],
    rows: [
      ...labels.map((row) => [row.label, ...averages(row), formatCount(row.support), ...tuned(row.label)]),
      ...averagesOf(metrics).map(([name, values, support]) => [
        `${name} average`,
        ...averages(values),
        formatCount(support),
        ...open,
      ]),
    ],
  };
}

/** With what they are over: labels, or examples. */
function averagesOf(metrics: MetricsRecord): [name: string, values: Averages, support: number][] {
  const { averages, labels = [], examples } = metrics;
  const numbers = ({ precision, recall, f1_macro: f1 }: MetricsRecord) => ({ precision, recall, f1 }) as Averages;
  if (averages === undefined) return [['macro', numbers(metrics), examples]];
  const support = labels.reduce((sum, row) => sum + row.support, 0);
  const of = (name: keyof typeof averages) => averages[name];
  return [
    ['micro', of('micro'), support],
    ['macro', of('macro'), support],
    ['weighted', of('weighted'), support],
    ['samples', of('samples'), examples],
  ];
}

/** How often each label (a row) was taken for each (a column). */
export function confusionTable({ labels = [], confusion = [] }: MetricsRecord): Table {
  return {
    columns: [
      { title: 'true \\ predicted' },
      ...labels.map(({ label }) => ({ title: label, align: 'right' as const })),
    ],
    rows: labels.map(({ label }, index) => [label, ...(confusion[index] ?? []).map(formatCount)]),
  };
}

/** The pairs of labels that were confused most often: texts of the first that were taken for the second. */
export function confusedPairs({ labels = [], confusion = [] }: MetricsRecord, most: number): Table {
  const pairs = labels.flatMap(({ label, support }, row) =>
    labels.flatMap((predicted, column) => {
      const count = confusion[row]?.[column] ?? 0;
      return row === column || count === 0 ? [] : [{ names: `${label} → ${predicted.label}`, count, support }];
    }),
  );
  pairs.sort((a, b) => b.count - a.count);
  return {
    columns: [{ title: 'true → predicted' }, { title: 'texts', align: 'right' }, { title: 'of', align: 'right' }],
    rows: pairs.slice(0, most).map(({ names, count, support }) => [names, formatCount(count), formatCount(support)]),
  };
}

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
  const metrics = shownMetrics(taskOf(task));
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

import { formatCount, formatMetric } from '../format.js';
import type { Averages } from '../metrics/single-label.js';
import { taskOf } from '../tasks/index.js';
import { shownMetrics } from './measured.js';
import type { ColumnRecord, MetricsRecord } from './records.js';
import { right, type Table } from './table.js';

/** The metrics of one split in one line. */
export function metricsTable(metrics: MetricsRecord): Table {
  const shown = shownMetrics(taskOf(metrics.task ?? 'single-label'));
  return {
    columns: ['examples', 'loss', ...shown.map(({ title }) => title)].map(right),
    rows: [
      [formatCount(metrics.examples), ...[metrics.loss, ...shown.map(({ name }) => metrics[name])].map(formatMetric)],
    ],
  };
}

/** Precision, recall and F1 by label, then their averages; in regression the metrics of each column. */
export function labelTable(metrics: MetricsRecord): Table {
  const { columns = [], labels = [] } = metrics;
  if (metrics.task === 'regression') {
    const shown = shownMetrics(taskOf('regression')) as { name: keyof Omit<ColumnRecord, 'label'>; title: string }[];
    return {
      columns: [{ title: 'value' }, ...shown.map(({ title }) => right(title))],
      rows: columns.map((row) => [row.label, ...shown.map(({ name }) => formatMetric(row[name]))]),
    };
  }
  const averages = ({ precision, recall, f1 }: Averages) => [precision, recall, f1].map(formatMetric);
  return {
    columns: [{ title: 'label' }, ...['precision', 'recall', 'F1', 'support'].map(right)],
    rows: [
      ...labels.map((row) => [row.label, ...averages(row), formatCount(row.support)]),
      ...averagesOf(metrics).map(([name, values, support]) => [
        `${name} average`,
        ...averages(values),
        formatCount(support),
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

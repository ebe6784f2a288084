import { formatCount, formatMetric } from './format.js';
import type { MetricsRecord } from './records.js';
import type { Table } from './table.js';

/** The metrics of one split in one line. */
export function metricsTable(metrics: MetricsRecord): Table {
  const values = [metrics.loss, metrics.accuracy, metrics.precision, metrics.recall, metrics.f1_macro];
  return {
    columns: ['examples', 'loss', 'accuracy', 'precision', 'recall', 'F1 macro'].map((title) => ({
      title,
      align: 'right',
    })),
    rows: [[formatCount(metrics.examples), ...values.map(formatMetric)]],
  };
}

/** Precision, recall and F1 by label, then their macro averages. */
export function labelTable(metrics: MetricsRecord): Table {
  const { labels, precision, recall, f1_macro, examples } = metrics;
  return {
    columns: [
      { title: 'label' },
      ...['precision', 'recall', 'F1', 'support'].map((title) => ({ title, align: 'right' as const })),
    ],
    rows: [
      ...labels.map((row) => [
        row.label,
        ...[row.precision, row.recall, row.f1].map(formatMetric),
        formatCount(row.support),
      ]),
      ['macro average', ...[precision, recall, f1_macro].map(formatMetric), formatCount(examples)],
    ],
  };
}

/** How often each label (a row) was taken for each (a column). */
export function confusionTable({ labels, confusion }: MetricsRecord): Table {
  return {
    columns: [
      { title: 'true \\ predicted' },
      ...labels.map(({ label }) => ({ title: label, align: 'right' as const })),
    ],
    rows: labels.map(({ label }, index) => [label, ...(confusion[index] ?? []).map(formatCount)]),
  };
}

/** The pairs of labels that were confused most often: texts of the first that were taken for the second. */
export function confusedPairs({ labels, confusion }: MetricsRecord, most: number): Table {
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

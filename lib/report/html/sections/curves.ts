import type { RunRecord } from '../../records.js';
import { lineChart } from '../charts/line.js';
import { seriesOf } from '../charts/series.js';
import { figure, figures, legendUnlessNamed } from '../figure.js';

const CURVES = [
  {
    key: 'loss',
    x: 'step',
    title: 'Training loss',
    note: 'by step, long curves smoothed; faint: as logged',
    smoothed: true,
  },
  { key: 'eval_loss', x: 'epoch', title: 'Validation loss', note: 'by epoch', smoothed: false },
  { key: 'eval_accuracy', x: 'epoch', title: 'Validation accuracy', note: 'by epoch', smoothed: false },
  { key: 'eval_f1_macro', x: 'epoch', title: 'Validation F1 macro', note: 'by epoch', smoothed: false },
] as const;

/** How the runs went: losses and metrics as they were logged. Empty where nothing was. */
export function curvesSection(runs: readonly RunRecord[]): string {
  const charts = CURVES.flatMap(({ key, x, title, note, smoothed }) => {
    const series = seriesOf(runs, x, key);
    if (series.length === 0) return [];
    const names = series.map((one) => one.title).join(', ');
    const chart = lineChart({ title, description: `${title} by ${x} of ${names}`, x, series, smoothed });
    return [{ ...chart, html: figure(title, note, chart.html) }];
  });
  return legendUnlessNamed(runs, charts) + figures(charts.map(({ html }) => html));
}

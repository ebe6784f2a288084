import { taskOfRuns } from '../../measured.js';
import type { RunRecord } from '../../records.js';
import { lineChart } from '../charts/line.js';
import { seriesOf } from '../charts/series.js';
import { figure, figures, legendUnlessNamed } from '../figure.js';

const LOSSES = [
  {
    key: 'loss',
    x: 'step',
    title: 'Training loss',
    note: 'by step, long curves smoothed; faint: as logged',
    smoothed: true,
  },
  { key: 'eval_loss', x: 'epoch', title: 'Validation loss', note: 'by epoch', smoothed: false },
] as const;

/** The losses, and the metrics that sum the task up. */
function curvesOf(runs: readonly RunRecord[]) {
  const { headline, metrics } = taskOfRuns(runs);
  const validation = headline.map((name) => ({
    key: `eval_${name}` as const,
    x: 'epoch' as const,
    title: `Validation ${metrics.find((metric) => metric.name === name)!.title}`,
    note: 'by epoch',
    smoothed: false,
  }));
  return [...LOSSES, ...validation];
}

/** How the runs went: losses and metrics as they were logged. Empty where nothing was. */
export function curvesSection(runs: readonly RunRecord[]): string {
  const charts = curvesOf(runs).flatMap(({ key, x, title, note, smoothed }) => {
    const series = seriesOf(runs, x, key);
    if (series.length === 0) return [];
    const names = series.map((one) => one.title).join(', ');
    const chart = lineChart({ title, description: `${title} by ${x} of ${names}`, x, series, smoothed });
    return [{ ...chart, html: figure(title, note, chart.html) }];
  });
  return legendUnlessNamed(runs, charts) + figures(charts.map(({ html }) => html));
}

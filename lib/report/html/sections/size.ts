import { loraTable } from '../../comparison.js';
import type { RunRecord } from '../../records.js';
import { rankChart } from '../charts/ranks.js';
import { scatterChart } from '../charts/scatter.js';
import { markOf } from '../charts/series.js';
import { figure, figures, legendUnlessNamed } from '../figure.js';
import { htmlTable } from '../table.js';

const METRICS = [
  { key: 'accuracy', title: 'Test accuracy' },
  { key: 'f1_macro', title: 'Test F1 macro' },
] as const;

/** How good a run is by how much it trains. Empty where there are not two to compare. */
export function sizeSection(runs: readonly RunRecord[]): string {
  const before = runs.find(({ method }) => method.kind === 'none');
  const charts = METRICS.flatMap(({ key, title }) => {
    const points = runs.flatMap((run, index) => {
      const [x = 0, y = Number.NaN] = [run.parameters?.trainable, run.test?.[key]];
      return x >= 1 && Number.isFinite(x) && Number.isFinite(y) ? [{ ...markOf(run, index), x, y }] : [];
    });
    if (points.length < 2) return [];
    const level = before?.test?.[key];
    const x = 'trainable parameters';
    const chart = scatterChart({
      title: `${title} by ${x}`,
      description: points.map((point) => `${point.title}: ${point.y.toFixed(4)}`).join(', '),
      x,
      points,
      ...(before && Number.isFinite(level) && { level: { title: before.title, y: level! } }),
    });
    return [{ ...chart, html: figure(title, `by ${x}, logarithmic`, chart.html) }];
  });
  return legendUnlessNamed(runs, charts) + figures(charts.map(({ html }) => html));
}

/** The LoRA runs by rank: a table, and a chart where there are two ranks. Empty where there are not two runs. */
export function rankSection(runs: readonly RunRecord[]): string {
  const table = loraTable(runs);
  if (table.rows.length < 2) return '';
  const points = runs
    .flatMap(({ method, test }) => {
      const [rank, accuracy, f1] = [Number(method.rank), test?.accuracy, test?.f1_macro];
      const usable = method.kind === 'lora' && rank >= 1 && Number.isFinite(accuracy) && Number.isFinite(f1);
      return usable ? [{ rank, accuracy: accuracy!, f1: f1! }] : [];
    })
    .sort((a, b) => a.rank - b.rank);
  const title = 'Test metrics by LoRA rank';
  const description = points.map(({ rank, accuracy }) => `rank ${rank}: accuracy ${accuracy.toFixed(4)}`).join(', ');
  const chart =
    new Set(points.map(({ rank }) => rank)).size < 2
      ? []
      : [figure(title, '', rankChart({ title, description }, points))];
  return htmlTable(table, 'LoRA by rank') + figures(chart);
}

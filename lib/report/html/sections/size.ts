import { higherIsBetter, type MetricName } from '../../../tasks/index.js';
import { loraTable } from '../../comparison.js';
import { taskOfRuns } from '../../measured.js';
import type { RunRecord } from '../../records.js';
import { rankChart } from '../charts/ranks.js';
import { scatterChart } from '../charts/scatter.js';
import { markOf } from '../charts/series.js';
import { figure, figures, legendUnlessNamed } from '../figure.js';
import { htmlTable } from '../table.js';

/** The metrics that sum the task up. */
function metricsOf(runs: readonly RunRecord[]): { key: MetricName; title: string }[] {
  const { headline, metrics } = taskOfRuns(runs);
  return headline.map((key) => ({ key, title: `Test ${metrics.find(({ name }) => name === key)!.title}` }));
}

/** The heading of `sizeSection`: `Accuracy by size`. */
export function sizeTitle(runs: readonly RunRecord[]): string {
  const { headline, metrics } = taskOfRuns(runs);
  const { title } = metrics.find(({ name }) => name === headline[0])!;
  return `${title[0]!.toUpperCase()}${title.slice(1)} by size`;
}

/** How good a run is by how much it trains. Empty where there are not two to compare. */
export function sizeSection(runs: readonly RunRecord[]): string {
  const before = runs.find(({ method }) => method.kind === 'none');
  const charts = metricsOf(runs).flatMap(({ key, title }) => {
    const points = runs.flatMap((run, index) => {
      const [x, y] = [run.parameters?.trainable ?? 0, run.test?.[key] ?? Number.NaN];
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
  const { headline, metrics } = taskOfRuns(runs);
  // One axis holds them where both are shares.
  const isDrawn = headline.every(higherIsBetter);
  const points = runs
    .flatMap(({ method, test }) => {
      const [rank, first, second] = [Number(method.rank), test?.[headline[0]], test?.[headline[1]]];
      const usable = method.kind === 'lora' && rank >= 1 && Number.isFinite(first) && Number.isFinite(second);
      return usable ? [{ rank, first: first!, second: second! }] : [];
    })
    .sort((a, b) => a.rank - b.rank);
  const titles = headline.map((name) => metrics.find((metric) => metric.name === name)!.title);
  const title = 'Test metrics by LoRA rank';
  const description = points.map(({ rank, first }) => `rank ${rank}: ${titles[0]} ${first.toFixed(4)}`).join(', ');
  const chart =
    !isDrawn || new Set(points.map(({ rank }) => rank)).size < 2
      ? []
      : [figure(title, '', rankChart({ title, description }, points, titles))];
  return htmlTable(table, 'LoRA by rank') + figures(chart);
}

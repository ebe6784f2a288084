import { formatFixed, formatMetric } from '../../../format.js';
import { higherIsBetter, type MetricName } from '../../../tasks/index.js';
import {
  comparedMetrics,
  comparisonTable,
  isByRank,
  loraTable,
  MEMORY_NOTE,
  togetherNotes,
  togetherWords,
} from '../../comparison.js';
import { taskOfRuns } from '../../metrics.js';
import type { RunRecord } from '../../records.js';
import { failure } from '../../sections.js';
import type { Table } from '../../table.js';
import { barChart } from '../charts/bars.js';
import type { Drawn } from '../charts/canvas.js';
import { lineChart, rankChart } from '../charts/line.js';
import { scatterChart } from '../charts/scatter.js';
import { markOf, type Series, seriesOf } from '../charts/series.js';
import { figure, figures, htmlTable, legendUnlessNamed, paragraphs, swatch } from '../elements.js';

/** All runs side by side, as the terminal shows them, with the best value of each metric marked. */
export function comparisonSection(runs: readonly RunRecord[]): string {
  const failures = runs.filter(({ error }) => error !== undefined).map(failure);
  const table = comparisonTable(runs);
  const best = new Set(comparedMetrics(runs).flatMap(({ name }, metric) => bestCells(table, metric + 1, name)));
  const marks = { rows: runs.map((_, index) => swatch(index)), best };
  const note = best.size === 0 ? [] : ['In bold: the best of its column.'];
  return (
    htmlTable(table, 'Comparison', marks) +
    paragraphs(failures, 'failure') +
    paragraphs([...note, MEMORY_NOTE, ...togetherNotes(runs)])
  );
}

/** The cells of a column that hold its best value. */
function bestCells({ rows }: Table, column: number, metric: MetricName): string[] {
  const values = rows.map((cells) => Number(cells[column])).map((value) => (higherIsBetter(metric) ? value : -value));
  const best = Math.max(...values.filter(Number.isFinite));
  return values.flatMap((value, row) => (value === best ? [`${row} ${column}`] : []));
}

/** The curves of one kind: by step or epoch, and whether each point is a mean of the steps before it. */
interface Curves {
  readonly key: string;
  readonly x: 'step' | 'epoch';
  readonly title: string;
  readonly isMean: boolean;
}

const LOSSES: readonly Curves[] = [
  { key: 'loss', x: 'step', title: 'Training loss', isMean: true },
  { key: 'eval_loss', x: 'epoch', title: 'Validation loss', isMean: false },
];

/** The metrics that sum the task up, on the validation split. */
function validationCurves(runs: readonly RunRecord[]): Curves[] {
  const { headline, metrics } = taskOfRuns(runs);
  return headline.map((name) => ({
    key: `eval_${name}`,
    x: 'epoch',
    title: `Validation ${metrics.find((metric) => metric.name === name)!.title}`,
    isMean: false,
  }));
}

function curveCharts(runs: readonly RunRecord[], curves: readonly Curves[]): Drawn[] {
  return curves.flatMap(({ key, x, title, isMean }) => {
    // One run has its last value for a name.
    const nameOf = ({ title, points }: Series) => (runs.length === 1 ? formatMetric(points.at(-1)?.y) : title);
    const series = seriesOf(runs, x, key).map((one) => ({ ...one, title: nameOf(one), isMean }));
    // Where each run has one value, the table has it too.
    if (series.every(({ points }) => points.length < 2)) return [];
    const names = series.map((one) => one.title).join(', ');
    const chart = lineChart({ title, description: `${title} by ${x} of ${names}`, x, series });
    return [{ ...chart, html: figure(title, `by ${x}`, chart.html) }];
  });
}

/** The metrics that sum the task up, as they were logged; none where they were logged once at most. */
export function metricCharts(runs: readonly RunRecord[]): Drawn[] {
  return curveCharts(runs, validationCurves(runs));
}

/** How the runs went: losses and metrics as they were logged. Empty where nothing was. */
export function curvesSection(runs: readonly RunRecord[]): string {
  const charts = [...curveCharts(runs, LOSSES), ...metricCharts(runs)];
  return legendUnlessNamed(runs, charts) + figures(charts.map(({ html }) => html));
}

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
    .filter(isByRank)
    .flatMap(({ method, test }) => {
      const [rank, first, second] = [Number(method.rank), test?.[headline[0]], test?.[headline[1]]];
      const usable = rank >= 1 && Number.isFinite(first) && Number.isFinite(second);
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

const MEBIBYTE = 2 ** 20;

const COSTS: readonly { title: string; unit: string; value: (run: RunRecord) => number | undefined }[] = [
  { title: 'Training time', unit: 's', value: (run) => run.train_runtime },
  {
    title: 'Peak memory',
    unit: 'MiB',
    value: ({ method, memory }) => mebibytes(method.kind === 'none' ? memory?.model : memory?.peak),
  },
  { title: 'Peak memory of the process', unit: 'MiB', value: ({ memory }) => mebibytes(memory?.process_peak) },
];

/** What the runs took: time and memory. Empty where nothing was measured. */
export function costsSection(runs: readonly RunRecord[]): string {
  const charts = COSTS.flatMap(({ title, unit, value }) => {
    const bars = runs.flatMap((run, index) => {
      const number = value(run);
      if (number === undefined || !Number.isFinite(number) || number < 0) return [];
      return [
        {
          ...markOf(run, index),
          value: number,
          text: `${formatFixed(number, number < 10 ? 2 : 1)} ${unit}${togetherWords(run)}`,
        },
      ];
    });
    if (bars.length === 0) return [];
    const description = bars.map((bar) => `${bar.title}: ${bar.text}`).join(', ');
    return [figure(title, '', barChart({ title: `${title} (${unit})`, description, bars }))];
  });
  return charts.length === 0 ? '' : figures(charts);
}

function mebibytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / MEBIBYTE;
}

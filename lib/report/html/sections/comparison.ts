import { formatFixed, formatSetting, NO_VALUE } from '../../../format.js';
import { higherIsBetter, type MetricName } from '../../../tasks/index.js';
import { comparisonTable, loraTable, MEMORY_NOTE } from '../../comparison.js';
import { taskOfRuns } from '../../metrics.js';
import type { RunRecord } from '../../records.js';
import { failure } from '../../sections.js';
import { barChart } from '../charts/bars.js';
import { lineChart, rankChart } from '../charts/line.js';
import { scatterChart } from '../charts/scatter.js';
import { markOf, seriesOf } from '../charts/series.js';
import { figure, figures, htmlTable, legendUnlessNamed, pairsTable, paragraphs, swatch } from '../elements.js';

/** All runs side by side, as the terminal shows them. */
export function comparisonSection(runs: readonly RunRecord[]): string {
  const failures = runs.filter(({ error }) => error !== undefined).map(failure);
  const table = htmlTable(
    comparisonTable(runs),
    'Comparison',
    runs.map((_, index) => swatch(index)),
  );
  return table + paragraphs(failures, 'failure') + paragraphs([MEMORY_NOTE]);
}

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
      return [{ ...markOf(run, index), value: number, text: `${formatFixed(number, number < 10 ? 2 : 1)} ${unit}` }];
    });
    if (bars.length === 0) return [];
    const description = bars.map((bar) => `${bar.title}: ${bar.text}`).join(', ');
    return [figure(title, '', barChart({ title: `${title} (${unit})`, description, bars }))];
  });
  return charts.length === 0 ? '' : figures(charts) + paragraphs([MEMORY_NOTE]);
}

function mebibytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / MEBIBYTE;
}

/** The settings of the runs: those that differ by run, then those that all share. Empty where nothing was trained. */
export function settingsSection(runs: readonly RunRecord[]): string {
  const trained = runs.map((run, index) => ({ run, index, settings: settingsOf(run) }));
  const shown = trained.filter(({ settings }) => settings.size > 0);
  const names = [...new Set(shown.flatMap(({ settings }) => [...settings.keys()]))];
  const isShared = (name: string) => new Set(shown.map(({ settings }) => settings.get(name))).size === 1;
  const pairs = names.filter(isShared).map((name) => [name, shown[0]?.settings.get(name) ?? ''] as const);
  const own = names.filter((name) => !isShared(name));
  const table = {
    columns: [{ title: 'method' }, ...own.map((title) => ({ title, align: 'right' as const }))],
    rows: shown.map(({ run, settings }) => [run.title, ...own.map((name) => settings.get(name) ?? NO_VALUE)]),
  };
  const marks = shown.map(({ index }) => swatch(index));
  return [
    own.length === 0 ? '' : `<h3>By run</h3>${htmlTable(table, 'Settings by run', marks)}`,
    pairs.length === 0
      ? ''
      : `<h3>${own.length === 0 ? 'All' : 'The same in all runs'}</h3>${pairsTable(pairs, 'Shared settings')}`,
  ].join('');
}

/** What is set, as words and texts; what is not set is left out. */
function settingsOf({ method, settings }: RunRecord): Map<string, string> {
  const { kind: _, ...options } = method;
  const entries = Object.entries({ ...options, ...settings }).map(
    ([name, value]) => [name.replaceAll('_', ' '), settingText(value)] as const,
  );
  return new Map(entries.filter(([, value]) => value !== ''));
}

/** A value of a setting; empty for one that is not set. */
function settingText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return formatSetting(value);
  if (Array.isArray(value)) return value.map(settingText).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

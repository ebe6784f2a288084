import { formatCount, formatFixed, formatMetric, formatSetting, NO_VALUE } from '../format.js';
import { type BestMetric, higherIsBetter, type MetricName, TASK_KINDS, type Task, taskOf } from '../tasks/index.js';
import type { CsvValue } from './csv.js';
import { measuredOn, shownMetrics } from './metrics.js';
import type { CellRecord, CellStatus, CellValue, GroupRecord, RunRecord, Spread, SweepRecord } from './records.js';
import { right, type Table } from './table.js';

/* What the cells of a sweep come to: means and deviations over seeds, the best first. */

/** What the table of a sweep shows, for its foot. */
export const SWEEP_NOTE =
  'mean ± standard deviation (n − 1) over the seeds that are done; the best on the validation split first, whose metric is that of the ' +
  'model as it ended';

/** Where cells can stand, in the order of the lines that count them. */
export const CELL_STATUSES = [
  'done',
  'stopped',
  'failed',
  'running',
  'waiting',
] as const satisfies readonly CellStatus[];

/** What cells are ranked by: the value of a metric on the validation split, where there is one, of the model as it ended. */
export function scoreOf(run: RunRecord, metric: BestMetric): number | undefined {
  const values = run.log_history
    .map((row) => row[`eval_${metric}`])
    .filter((value) => Number.isFinite(value) as boolean) as number[];
  const better = higherIsBetter(metric) ? Math.max : Math.min;
  const [last] = values.slice(-1);
  const value = run.settings.load_best_model === true && values.length > 0 ? better(...values) : last;
  return value ?? measuredOn(run)?.metrics[metric] ?? undefined;
}

/** A cell that has a result. */
export function finishedCell(
  planned: Pick<CellRecord, 'id' | 'title' | 'group' | 'values' | 'seed'>,
  run: RunRecord,
  metric: BestMetric,
): CellRecord {
  const score = scoreOf(run, metric);
  const measured = measuredOn(run)?.metrics;
  return {
    ...planned,
    status: run.status,
    ...(run.stop && { stop: run.stop }),
    ...(run.error && { error: run.error }),
    ...(score !== undefined && { score }),
    ...(measured && {
      metrics: Object.fromEntries(shownMetrics(taskOf(run.task)).map(({ name }) => [name, measured[name]])),
    }),
    ...(run.train_runtime !== undefined && { runtime: run.train_runtime }),
  };
}

/** Sums cells up. Means are over those that are done: a cell that was given up, or has failed, is only counted. */
export function sweepRecord(axes: readonly string[], metric: BestMetric, cells: readonly CellRecord[]): SweepRecord {
  const isHigherBetter = higherIsBetter(metric);
  const byTitle = new Map<string, CellRecord[]>();
  for (const cell of cells) byTitle.set(cell.group, [...(byTitle.get(cell.group) ?? []), cell]);
  const groups = [...byTitle.values()].map(groupOf);
  const rank = ({ score }: GroupRecord) => (score === undefined ? Infinity : isHigherBetter ? -score.mean : score.mean);
  return {
    axes,
    metric: { name: metric, title: `validation ${metricTitle(metric)}`, isHigherBetter },
    cells,
    groups: groups.sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0)),
  };
}

function metricTitle(metric: BestMetric): string {
  const metrics = TASK_KINDS.flatMap((kind) => taskOf(kind).metrics);
  return metrics.find(({ name }) => name === metric)?.title ?? metric;
}

function groupOf(cells: readonly CellRecord[]): GroupRecord {
  const [{ group: title, values }] = cells as [CellRecord];
  const done = cells.filter(({ status }) => status === 'done');
  const score = spreadOf(done.map((cell) => cell.score));
  const runtime = spreadOf(done.map((cell) => cell.runtime));
  const names = [...new Set(done.flatMap(({ metrics = {} }) => Object.keys(metrics)))] as MetricName[];
  const metrics = names.flatMap((name) => {
    const spread = spreadOf(done.map((cell) => cell.metrics?.[name] ?? undefined));
    return spread === undefined ? [] : [[name, spread] as const];
  });
  return {
    title,
    values,
    cells: countCells(cells),
    ...(score && { score }),
    metrics: Object.fromEntries(metrics),
    ...(runtime && { runtime }),
  };
}

/** How many cells there are of each status. */
export function countCells(cells: readonly Pick<CellRecord, 'status'>[]): Record<CellStatus, number> {
  const counts = { done: 0, stopped: 0, failed: 0, running: 0, waiting: 0 };
  for (const { status } of cells) counts[status] += 1;
  return counts;
}

/** Mean and deviation of the values that are numbers; undefined where there is none. */
export function spreadOf(values: readonly (number | undefined)[]): Spread | undefined {
  const numbers = values.filter((value): value is number => value !== undefined && Number.isFinite(value));
  const n = numbers.length;
  if (n === 0) return undefined;
  const mean = numbers.reduce((sum, value) => sum + value, 0) / n;
  const squares = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: n === 1 ? null : Math.sqrt(squares / (n - 1)), n };
}

/** `24 cells: 20 done, 1 failed, 3 waiting` */
export function countWords(counts: Readonly<Record<CellStatus, number>>): string {
  const all = CELL_STATUSES.reduce((sum, status) => sum + counts[status], 0);
  const parts = CELL_STATUSES.filter((status) => counts[status] > 0).map(
    (status) => `${formatCount(counts[status])} ${status}`,
  );
  return `${formatCount(all)} ${all === 1 ? 'cell' : 'cells'}: ${parts.join(', ') || 'none'}`;
}

/** A value of a setting as tables and charts show it. */
export function cellText(value: CellValue | undefined): string {
  if (value === undefined) return NO_VALUE;
  if (typeof value === 'number') return formatSetting(value);
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : value;
}

const spreadText = (spread: Spread | undefined, format: (value: number | undefined) => string): string => {
  if (spread === undefined) return NO_VALUE;
  return spread.deviation === null ? format(spread.mean) : `${format(spread.mean)} ± ${format(spread.deviation)}`;
};

/** The groups of a sweep, the best first: how many seeds are done, the metrics that sum the task up. */
export function sweepTable({ metric, groups }: SweepRecord, task: Task): Table {
  const shown = task.metrics.filter(({ name }) => (task.headline as readonly MetricName[]).includes(name));
  const used = shown.filter(({ name }) => groups.some((group) => group.metrics[name] !== undefined));
  return {
    columns: [
      { title: 'runs' },
      right('done'),
      right(metric.title),
      ...used.map(({ title }) => right(`test ${title}`)),
      right('time s'),
    ],
    rows: groups.map((group) => {
      const all = CELL_STATUSES.reduce((sum, status) => sum + group.cells[status], 0);
      return [
        group.title,
        `${group.cells.done}/${all}`,
        spreadText(group.score, formatMetric),
        ...used.map(({ name }) => spreadText(group.metrics[name], formatMetric)),
        spreadText(group.runtime, (value) => formatFixed(value, 1)),
      ];
    }),
  };
}

/** What became of the cells that did not come to their end, a line each. */
export function cellNotes(cells: readonly CellRecord[]): string[] {
  return cells.flatMap(({ title, status, stop, error }) => {
    if (error) return [`${title} ${status}: error [${error.code}]: ${error.message}`];
    if (!stop) return [];
    const values = `${stop.metric} ${formatMetric(stop.value)}, the median of ${stop.of} others ${formatMetric(stop.median)}`;
    return [`${title} stopped after epoch ${stop.epoch}: ${values}`];
  });
}

/** results.csv of a sweep: a line per cell. */
export function sweepRows({ axes, metric, cells }: SweepRecord, task: Task): [string[], CsvValue[][]] {
  const names = shownMetrics(task).map(({ name }) => name);
  const header = [
    'id',
    'title',
    ...axes.map((name) => name.replaceAll(' ', '_')),
    'seed',
    'status',
    'error',
    'stopped_after',
  ];
  return [
    [...header, `validation_${metric.name}`, ...names.map((name) => `test_${name}`), 'train_runtime'],
    cells.map((cell) => [
      cell.id,
      cell.title,
      ...axes.map((name) => cell.values[name]),
      cell.seed,
      cell.status,
      cell.error && `[${cell.error.code}] ${cell.error.message}`,
      cell.stop?.epoch,
      cell.score,
      ...names.map((name) => cell.metrics?.[name]),
      cell.runtime,
    ]),
  ];
}

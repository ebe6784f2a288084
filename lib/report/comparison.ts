import {
  formatCount,
  formatFixed,
  formatMebibytes,
  formatMetric,
  formatSeconds,
  formatShare,
  NO_VALUE,
} from '../format.js';
import { DEFAULT_TASK, type Metric, taskOf } from '../tasks/index.js';
import { measuredOn, shownMetrics, taskOfRuns } from './metrics.js';
import type { ReferenceRecord, RunRecord } from './records.js';
import { type Column, right, type Table } from './table.js';

/** Columns that the notebook's table has. */
const NOTEBOOK_METRICS = shownMetrics(taskOf(DEFAULT_TASK));
const COST_COLUMNS = ['time s', 'peak memory MiB', 'process MiB'].map(right);
const SIZE_COLUMNS = ['trainable parameters', '% of all'].map(right);

/** What the memory columns mean, for the foot of a table. */
export const MEMORY_NOTE =
  'peak memory: the most that parameters, gradients, optimizer, activations and data took at once (before fine-tuning: ' +
  'the model alone); process: the peak resident memory of the whole process; MiB of 2^20 bytes';

/** What the words after a time mean, where there are any. */
export function togetherNotes(runs: readonly RunRecord[]): string[] {
  const counts = new Set(runs.flatMap((run) => (togetherWords(run) === '' ? [] : run.together!)));
  return [...counts].map(
    (count) => `a time "for ${count}" is that of ${count} methods that trained together, as is the memory beside it`,
  );
}

function metricCells(run: RunRecord, metrics: readonly Metric[]): string[] {
  const measured = measuredOn(run)?.metrics;
  return metrics.map(({ name }) => formatMetric(measured?.[name]));
}

function sizeCells({ parameters }: RunRecord): string[] {
  if (parameters === undefined || parameters.trainable === 0) return [NO_VALUE, NO_VALUE];
  return [formatCount(parameters.trainable), formatShare(parameters.trainable, parameters.total)];
}

/** After a time that was measured of several runs together: ` for 4`. */
export function togetherWords({ together, train_runtime }: RunRecord): string {
  return together === undefined || train_runtime === undefined ? '' : ` for ${together}`;
}

function costCells(run: RunRecord): string[] {
  const { memory, method, train_runtime } = run;
  const peak = method.kind === 'none' ? memory?.model : memory?.peak;
  const time = `${formatSeconds(train_runtime)}${togetherWords(run)}`;
  return [time, formatMebibytes(peak), formatMebibytes(memory?.process_peak)];
}

function cells(run: RunRecord, metrics: readonly Metric[]): string[] {
  return [...metricCells(run, metrics), ...costCells(run), ...sizeCells(run)];
}

/** What runs are compared by: those that sum their task up first. None where nothing was measured. */
export function comparedMetrics(runs: readonly RunRecord[]): Metric[] {
  if (runs.every((run) => measuredOn(run) === undefined)) return [];
  const { headline, metrics } = taskOfRuns(runs);
  const first = headline.flatMap((name) => metrics.find((metric) => metric.name === name) ?? []);
  return [...first, ...metrics.filter((metric) => metric.isShown && !first.includes(metric))];
}

/** Named as such where they are of the validation split. */
function metricColumns(runs: readonly RunRecord[], metrics: readonly Metric[]): Column[] {
  const isValidation = runs.some((run) => measuredOn(run)?.split === 'validation');
  return metrics.map(({ title }) => right(isValidation ? `validation ${title}` : title));
}

/** All runs side by side, in their order: how good they are, then what they cost. A column `status` appears where a run is not done. */
export function comparisonTable(runs: readonly RunRecord[]): Table {
  const metrics = comparedMetrics(runs);
  const unfinished = runs.some((run) => run.status !== 'done');
  return {
    columns: [
      { title: 'method' },
      ...metricColumns(runs, metrics),
      ...COST_COLUMNS,
      ...SIZE_COLUMNS,
      ...(unfinished ? [{ title: 'status' }] : []),
    ],
    rows: runs.map((run) => [
      run.title,
      ...cells(run, metrics),
      ...(unfinished ? [run.error === undefined ? run.status : `${run.status} [${run.error.code}]`] : []),
    ]),
  };
}

/** Whether a run is one of those by rank: LoRA, but for DoRA, which of the same rank is another method. */
export const isByRank = ({ method }: RunRecord): boolean => method.kind === 'lora' && method.dora !== true;

/** The LoRA runs by rank. No rows where there are none. */
export function loraTable(runs: readonly RunRecord[]): Table {
  const lora = runs.filter(isByRank);
  const metrics = comparedMetrics(lora);
  return {
    columns: [right('rank'), right('alpha'), ...metricColumns([], metrics), ...COST_COLUMNS, ...SIZE_COLUMNS],
    rows: [...lora]
      .sort((a, b) => Number(a.method.rank) - Number(b.method.rank))
      .map((run) => [String(run.method.rank), String(run.method.alpha), ...cells(run, metrics)]),
  };
}

/** The model before fine-tuning: its metrics and its memory alone. */
export function beforeTable(run: RunRecord): Table {
  const metrics = shownMetrics(taskOfRuns([run]));
  return {
    columns: [...metricColumns([], metrics), right('model MiB')],
    rows: [[...metricCells(run, metrics), formatMebibytes(run.memory?.model)]],
  };
}

/** Each run with the published row of the same name under it. */
export function referenceTable(runs: readonly RunRecord[], reference: readonly ReferenceRecord[]): Table {
  const columns = [
    { title: 'method' },
    { title: 'source' },
    ...metricColumns([], NOTEBOOK_METRICS),
    right('time s'),
    right('peak memory MiB'),
    right('trainable parameters'),
  ];
  const rows = runs.flatMap((run) => {
    const published = reference.find(({ name }) => name === run.name);
    if (published === undefined) return [];
    const [trainable = NO_VALUE] = sizeCells(run);
    const [time = NO_VALUE, peak = NO_VALUE] = costCells(run);
    const { accuracy, precision, recall, f1_macro } = published;
    return [
      [run.title, 'here', ...metricCells(run, NOTEBOOK_METRICS), time, peak, trainable],
      [
        '',
        'notebook',
        ...[accuracy, precision, recall, f1_macro].map(formatMetric),
        formatSeconds(published.time_s),
        formatFixed(published.memory_mib, 2),
        published.trainable === null ? NO_VALUE : formatCount(published.trainable),
      ],
    ];
  });
  return { columns, rows };
}

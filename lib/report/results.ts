import { join } from 'node:path';
import { readJsonObject } from '../files/input.js';
import { writeFileAtomic, writeJson } from '../files/output.js';
import { formatCount } from '../format.js';
import { csv } from './csv.js';
import { environmentLine } from './environment.js';
import { expectResults, type ReportOptions } from './html/input.js';
import { shownMetrics, taskOfRuns } from './metrics.js';
import type { ComparisonRecord, RunRecord } from './records.js';
import { beforeSection, closingSections, runSection, sectionMarkdown } from './sections.js';
import { sweepRows } from './sweep.js';
import { markdownText } from './table.js';

/** The report's name in an output directory. */
export const REPORT_FILE = 'report.html';

/** The columns of results.csv, before those of the task's metrics: names for programs, sizes in bytes, times in seconds. */
type CsvColumn = readonly [string, (run: RunRecord) => string | number | null | undefined];

const CSV_COLUMNS: readonly CsvColumn[] = [
  ['name', (run) => run.name],
  ['method', (run) => run.title],
  ['status', (run) => run.status],
  ['error', (run) => run.error && `[${run.error.code}] ${run.error.message}`],
  ['learning_rate', ({ settings }) => settings.learning_rate as number | undefined],
  ['epochs', (run) => run.epochs],
  ['steps', (run) => run.steps],
  ['trainable_parameters', (run) => run.parameters?.trainable],
  ['total_parameters', (run) => run.parameters?.total],
  ['model_bytes', (run) => run.memory?.model],
  ['peak_memory_bytes', (run) => run.memory?.peak],
  ['process_peak_bytes', (run) => run.memory?.process_peak],
  ['device_peak_bytes', (run) => run.memory?.device_peak],
  ['train_runtime', (run) => run.train_runtime],
  ['together', (run) => run.together],
  ['train_loss', (run) => run.train_loss],
  ['test_loss', (run) => run.test?.loss],
];

/** results.csv of a comparison: a line per run. */
export function resultsCsv(runs: readonly RunRecord[]): string {
  const metrics = shownMetrics(taskOfRuns(runs)).map(({ name }): CsvColumn => [name, (run) => run.test?.[name]]);
  const columns = [...CSV_COLUMNS, ...metrics];
  return csv(
    columns.map(([name]) => name),
    runs.map((run) => columns.map(([, value]) => value(run))),
  );
}

/** results.md of a comparison: the sections that the terminal shows. */
export function resultsMarkdown(comparison: ComparisonRecord): string {
  const { preset, created, model, data, environment, runs } = comparison;
  const splits = Object.entries(data.splits).map(([name, examples]) => `${name} ${formatCount(examples)}`);
  // Of a sweep each run is in the report.
  const shown = comparison.sweep === undefined ? runs : [];
  const before = shown.filter((run) => run.method.kind === 'none').map(beforeSection);
  const trained = shown.filter((run) => run.method.kind !== 'none').map(runSection);
  const head = [
    comparison.sweep === undefined ? `# Comparison: ${preset}` : '# Sweep',
    `- model: ${markdownText(model)}\n- data: ${markdownText(data.source)} (${splits.join(', ')}; ${data.labels.length} labels)\n` +
      `- ${markdownText(environmentLine(environment))}\n- ${created}`,
  ];
  return `${head.join('\n\n')}\n\n${[...before, ...trained, ...closingSections(comparison)].map(sectionMarkdown).join('')}`
    .trimEnd()
    .concat('\n');
}

/** The files that a comparison, or a sweep, leaves in its output directory. */
export const COMPARISON_FILES = ['results.json', 'results.csv', 'results.md', REPORT_FILE] as const;

/** Writes results.json, results.csv, results.md and report.html. */
export async function writeComparison(directory: string, comparison: ComparisonRecord): Promise<void> {
  await writeJson(join(directory, 'results.json'), comparison);
  const { runs, sweep } = comparison;
  const table = sweep === undefined ? resultsCsv(runs) : csv(...sweepRows(sweep, taskOfRuns(runs)));
  await writeFileAtomic(join(directory, 'results.csv'), table);
  await writeFileAtomic(join(directory, 'results.md'), resultsMarkdown(comparison));
  await writeReport(join(directory, REPORT_FILE), comparison);
}

/**
 * Draws the report of what results.json holds and writes it. The libraries that draw are loaded here, not before.
 *
 * @param path the file
 * @param results what results.json holds
 * @param options see renderReport
 * @throws BertuneError INVALID_DATA, OUTPUT_REFUSED
 */
export async function writeReport(path: string, results: unknown, options?: ReportOptions): Promise<void> {
  const { renderReport } = await import('./html/page.js');
  await writeFileAtomic(path, renderReport(results, options));
}

/**
 * Reads a results.json, for renderReport or writeReport.
 *
 * @throws BertuneError NOT_FOUND, INVALID_DATA where it is no JSON, or has neither runs nor one run, or more than 100
 */
export async function readResults(path: string): Promise<Record<string, unknown>> {
  const results = await readJsonObject(path, 'INVALID_DATA');
  expectResults(results, path);
  return results;
}

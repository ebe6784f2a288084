import { BertuneError } from '../../errors.js';
import { METHOD_KINDS } from '../../methods/index.js';
import { DEFAULT_TASK, TASK_KINDS } from '../../tasks/index.js';
import type { MistakenLabel } from '../../tasks/mistakes.js';
import type { ComparisonRecord, LogRecord, MethodRecord, MetricsRecord, RunRecord } from '../records.js';
import { type DataSummary, summaryInput } from './data-input.js';
import {
  type Fields,
  few,
  fields,
  isFields,
  isNumber,
  list,
  MOST_FIELDS,
  numbers,
  oneOf,
  simple,
  text,
} from './fields.js';
import { sweepInput } from './sweep-input.js';

/** What a report is drawn from: a comparison, or a run by itself as a comparison of one. */
export interface ReportInput extends Omit<ComparisonRecord, 'preset' | 'environment'> {
  /** The preset of a comparison; undefined for a run by itself. */
  readonly preset?: string;
  readonly environment: Readonly<Record<string, unknown>>;
  /** What is known of the data beyond their sizes. */
  readonly summary?: DataSummary;
}

/** What a report is to show. */
export interface ReportOptions {
  /** Whether texts of the data may be shown, such as those that a model is most wrong about. Defaults to true. */
  readonly texts?: boolean | undefined;
}

/** Every run is drawn in every chart, and is a column or a row of every table. */
const MOST_RUNS = 100;
/** Points of a chart of true and predicted values. */
const MOST_PAIRS = 1000;
/** Of each run. */
const MOST_MISTAKES = 100;

const KINDS = ['none', ...METHOD_KINDS] as const;
const STATUSES = ['done', 'stopped', 'failed'] as const;

/** Whether it is one run by itself, which there is nothing to compare with. */
export function isSingle({ runs, sweep }: ReportInput): boolean {
  return runs.length === 1 && sweep === undefined;
}

/**
 * Reads what results.json holds, of `bertune compare` or `bertune train`. Files pass through many hands: what is missing
 * or of another type counts as not there, as long as there are runs.
 *
 * @throws BertuneError INVALID_DATA, also for more than 100 runs
 */
export function reportInput(results: unknown, { texts = true }: ReportOptions = {}): ReportInput {
  expectResults(results, 'the contents of a results.json');
  const runs = Array.isArray(results.runs) ? results.runs.filter(isFields) : [results];
  const data = fields(results.data);
  const reference = list(results.reference).filter(isFields).map(referenceRecord);
  return {
    ...(typeof results.preset === 'string' && { preset: results.preset }),
    created: text(results.created),
    model: text(results.model, 'a model'),
    data: {
      source: text(data.source, 'data'),
      labels: list(data.labels).map((label) => text(label)),
      splits: numbers(few(fields(data.splits))),
    },
    environment: simple(fields(results.environment)),
    runs: runs.map((run) => runRecord(run, texts)),
    ...(reference.length > 0 && { reference }),
    ...(isFields(results.sweep) && { sweep: sweepInput(results.sweep) }),
    ...(isFields(data.summary) && { summary: summaryInput(data.summary, texts) }),
  };
}

/**
 * Whether this is what results.json holds: an object with runs, at most 100, or of one run.
 *
 * @param name what it is called in messages
 * @throws BertuneError INVALID_DATA
 */
export function expectResults(value: unknown, name: string): asserts value is Record<string, unknown> {
  const runs = isFields(value) ? (value.runs ?? (isFields(value.method) ? [] : undefined)) : undefined;
  if (!Array.isArray(runs)) throw new BertuneError('INVALID_DATA', `Expected runs, or one run, in ${name}`);
  if (runs.length <= MOST_RUNS) return;
  throw new BertuneError('INVALID_DATA', `Expected at most ${MOST_RUNS} runs in ${name} but found ${runs.length}`);
}

function runRecord(run: Fields, texts: boolean): RunRecord {
  const { kind, rank, alpha, ...options } = few(fields(run.method));
  const name = text(run.name, 'run');
  const optional = {
    ...numbers({
      together: run.together,
      train_runtime: run.train_runtime,
      steps: run.steps,
      epochs: run.epochs,
      train_loss: run.train_loss,
      train_samples_per_second: run.train_samples_per_second,
      train_steps_per_second: run.train_steps_per_second,
    }),
    ...(isFields(run.parameters) && { parameters: sizes(run.parameters) }),
    ...(isFields(run.memory) && { memory: numbers(run.memory) as unknown as NonNullable<RunRecord['memory']> }),
    ...(list(run.advice).length > 0 && {
      advice: list(run.advice)
        .slice(0, MOST_FIELDS)
        .map((line) => text(line)),
    }),
    ...(isFields(run.calibration) && {
      calibration: { temperature: 0, ece_before: 0, ece_after: 0, ...numbers(run.calibration) },
    }),
    ...(isFields(run.thresholds) && { thresholds: numbers(run.thresholds) }),
    ...(isFields(run.test) && { test: metricsRecord(run.test, texts) }),
    ...(isFields(run.validation) && { validation: metricsRecord(run.validation, texts) }),
    ...(isFields(run.error) && {
      error: { code: text(run.error.code, 'INTERNAL'), message: text(run.error.message, 'no message') },
    }),
  };
  return {
    name,
    title: text(run.title, name),
    method: { ...options, ...numbers({ rank, alpha }), kind: oneOf(kind, KINDS, 'none') } as MethodRecord,
    task: oneOf(run.task, TASK_KINDS, DEFAULT_TASK),
    status: oneOf(run.status, STATUSES, 'done'),
    settings: few(fields(run.settings)),
    ...optional,
    epoch_history: list(run.epoch_history).filter(isFields).map(numbers) as unknown as RunRecord['epoch_history'],
    log_history: list(run.log_history).filter(isFields).map(numbers) as LogRecord[],
  };
}

function metricsRecord(test: Fields, texts: boolean): MetricsRecord {
  const { task, labels, confusion, averages, columns, pairs, mistakes, ...values } = test;
  const named = (rows: unknown, empty: Fields) =>
    list(rows)
      .filter(isFields)
      .map((row) => ({ ...empty, ...numbers(row), label: text(row.label) }));
  const { micro, macro, weighted, samples } = fields(averages);
  return {
    ...(numbers({ ...values, examples: values.examples ?? 0 }) as unknown as MetricsRecord),
    task: oneOf(task, TASK_KINDS, DEFAULT_TASK),
    labels: named(labels, { support: 0 }) as unknown as NonNullable<MetricsRecord['labels']>,
    ...(Array.isArray(confusion) && {
      confusion: confusion.map((row) => list(row).map((count) => (isNumber(count) ? count : 0))),
    }),
    ...([micro, macro, weighted, samples].every(isFields) && {
      averages: Object.fromEntries(
        Object.entries({ micro, macro, weighted, samples }).map(([name, row]) => [name, numbers(fields(row))]),
      ) as unknown as NonNullable<MetricsRecord['averages']>,
    }),
    ...(Array.isArray(columns) && { columns: named(columns, {}) as unknown as NonNullable<MetricsRecord['columns']> }),
    ...(Array.isArray(pairs) && {
      pairs: named(pairs.slice(0, MOST_PAIRS), {}) as unknown as NonNullable<MetricsRecord['pairs']>,
    }),
    ...(Array.isArray(mistakes) &&
      texts && {
        mistakes: mistakes
          .filter(isFields)
          .slice(0, MOST_MISTAKES)
          .map((mistake) => ({
            text: text(mistake.text),
            ...(typeof mistake.pair === 'string' && { pair: text(mistake.pair) }),
            error: isNumber(mistake.error) ? mistake.error : 0,
            labels: named(list(mistake.labels).slice(0, MOST_FIELDS), {
              target: 0,
              predicted: 0,
            }) as unknown as MistakenLabel[],
          })),
      }),
  };
}

function sizes(parameters: Fields): NonNullable<RunRecord['parameters']> {
  return { trainable: 0, total: 0, ...numbers(parameters) };
}

function referenceRecord(row: Fields): NonNullable<ComparisonRecord['reference']>[number] {
  const values = numbers(row);
  const empty = { trainable: null, time_s: null };
  return { ...empty, ...values, name: text(row.name) } as unknown as NonNullable<ComparisonRecord['reference']>[number];
}

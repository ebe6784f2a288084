import { formatMetric } from '../format.js';
import { type Metric, type MetricName, type Task, type TaskKind, taskOf } from '../tasks/index.js';
import type { MetricsRecord, RunRecord } from './records.js';

/** The split that a run was measured on, and how it did. */
export interface Measured {
  readonly split: 'test' | 'validation';
  readonly metrics: MetricsRecord;
}

/** How a run did at its end: on the test split, or the validation split where there is no other; undefined where on none. */
export function measuredOn({ test, validation }: Pick<RunRecord, 'test' | 'validation'>): Measured | undefined {
  if (test !== undefined) return { split: 'test', metrics: test };
  return validation && { split: 'validation', metrics: validation };
}

/** The task of runs that are side by side, which share one. */
export function taskOfRuns(runs: readonly Pick<RunRecord, 'task'>[]): Task {
  return taskOf(runs.find(({ task }) => task !== undefined)?.task ?? 'single-label');
}

/** The metrics of a task that tables have. */
export function shownMetrics({ metrics }: Task): Metric[] {
  return metrics.filter(({ isShown }) => isShown);
}

/** The metrics that sum an evaluation up, with their names: `accuracy 0.9300`. */
export function headlineOf(
  task: TaskKind | undefined,
  values: { readonly [Name in MetricName]?: number | null | undefined },
): string[] {
  const { headline, metrics } = taskOf(task ?? 'single-label');
  return headline.map(
    (name) => `${metrics.find((metric) => metric.name === name)!.title} ${formatMetric(values[name])}`,
  );
}

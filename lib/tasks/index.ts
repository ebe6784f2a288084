import { multiLabel } from './multi-label.js';
import { regression } from './regression.js';
import { singleLabel } from './single-label.js';
import type { LabelKind, Task } from './task.js';

export {
  BEST_METRICS,
  type BestMetric,
  type ClassPrediction,
  type HeadlineMetric,
  higherIsBetter,
  type LabelKind,
  type LabelsPrediction,
  type LossOptions,
  type Measurement,
  type Metric,
  type MetricDetails,
  type MetricName,
  type Numbers,
  type PredictionExtras,
  type Predictions,
  type RankedLabel,
  type Task,
  type ValuePrediction,
} from './task.js';

/** The name of a task in options. */
export type TaskKind = 'single-label' | 'multi-label' | 'regression';

/** Every task, a file each. */
const ALL = [singleLabel, multiLabel, regression] as const satisfies readonly (Task & { kind: TaskKind })[];

/** The names of the tasks, in the order in which messages list them. */
export const TASK_KINDS: readonly TaskKind[] = Object.freeze(ALL.map(({ kind }) => kind));

/** The default task. */
export type DefaultTask = 'single-label';
/** It as a value, e.g. for files from before there were others. */
export const DEFAULT_TASK: DefaultTask = singleLabel.kind;

/** The task of a name; the default one of none. */
export function taskOf(kind: TaskKind = DEFAULT_TASK): Task {
  return ALL.find((task) => task.kind === kind)!;
}

/** The task for labels of a kind where only they are known: the first there is. */
export function usualTask(labels: LabelKind): TaskKind {
  return ALL.find((task) => task.labels === labels)!.kind;
}

/** The task of a config.json's problem_type; undefined for a name that is none. */
export function taskOfProblemType(problemType: string): TaskKind | undefined {
  return ALL.find((task) => task.problemType === problemType)?.kind;
}

import { multiLabel } from './multi-label.js';
import { regression } from './regression.js';
import { singleLabel } from './single-label.js';
import type { Task } from './task.js';

export {
  BEST_METRICS,
  type BestMetric,
  type ClassPrediction,
  higherIsBetter,
  type LabelKind,
  type LabelsPrediction,
  type LossOptions,
  type Measurement,
  type Metric,
  type MetricName,
  type Numbers,
  type Predictions,
  type Task,
  type ValuePrediction,
} from './task.js';

/** The name of a task in options. */
export type TaskKind = 'single-label' | 'multi-label' | 'regression';

/** Every task, a file each. */
const ALL = [singleLabel, multiLabel, regression] as const satisfies readonly (Task & { kind: TaskKind })[];

/** The names of the tasks, in the order in which messages list them. */
export const TASK_KINDS: readonly TaskKind[] = Object.freeze(ALL.map(({ kind }) => kind));

/** The task of a name. */
export function taskOf(kind: TaskKind): Task {
  return ALL.find((task) => task.kind === kind)!;
}

/** The task of a config.json's problem_type; undefined for a name that is none. */
export function taskOfProblemType(problemType: string): TaskKind | undefined {
  return ALL.find((task) => task.problemType === problemType)?.kind;
}

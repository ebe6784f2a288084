import type { Task } from './task.js';

/** A number, or several. */
export const regression = {
  kind: 'regression',
  title: 'regression',
  problemType: 'regression',
  labels: 'values',
  loss: 'mean_squared_error',
  activation: 'identity',
} as const satisfies Task;

import type { Task } from './task.js';

/** Any number of labels, or none: each is a question of its own. */
export const multiLabel = {
  kind: 'multi-label',
  title: 'multi-label classification',
  problemType: 'multi_label_classification',
  labels: 'classes',
  loss: 'binary_cross_entropy',
  activation: 'sigmoid',
} as const satisfies Task;

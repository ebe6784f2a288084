import type { Task } from './task.js';

/** Exactly one of several classes. */
export const singleLabel = {
  kind: 'single-label',
  title: 'single-label classification',
  problemType: 'single_label_classification',
  labels: 'class',
  loss: 'cross_entropy',
  activation: 'softmax',
} as const satisfies Task;

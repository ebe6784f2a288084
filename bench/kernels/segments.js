// The optimizer's arrays: the trainable parameters of a method, a segment each, as the model has them.
import { LABELS } from '../support/dimensions.js';
import { load } from '../support/library.js';
import { METHODS } from '../support/methods.js';
import { sum } from '../support/statistics.js';

const { methodPlan } = await load('methods/index');

const SETTINGS = {
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weight_decay: 0.01,
  max_grad_norm: 1,
  learning_rate: 2e-5,
  step: 100,
};

/** The trial with its arrays and sizes. */
export function withSegments(trial, config) {
  const { parameters } = methodPlan(METHODS[trial.segments], config, LABELS.length);
  const segments = parameters.filter(({ trainable }) => trainable);
  const counts = segments.map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  const isAdamw = trial.operation === 'adamw';
  const arrays = { norm: 'acc 1 write', ...(isAdamw && { loss: 'acc 1 read' }) };
  const sizes = { segments: segments.length, ...(isAdamw && SETTINGS) };
  for (const [i, count] of counts.entries()) {
    arrays[`grad.${i}`] = `acc ${count} read`;
    if (!isAdamw) continue;
    arrays[`m.${i}`] = `acc ${count} update`;
    arrays[`v.${i}`] = `acc ${count} update`;
    arrays[`master.${i}`] = `master ${count} update`;
    sizes[`decay.${i}`] = segments[i].decay ? 1 : 0;
  }
  // The norm reads the gradients once more.
  return { ...trial, arrays, sizes, ...(isAdamw && { bytes: 4 * sum(counts) }) };
}

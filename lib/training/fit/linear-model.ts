import type { Values } from '../../native/index.js';
import type { LossOptions, Numbers, Task } from '../../tasks/index.js';
import { TimeSlice } from '../../time-slice.js';
import { type Features, standardize } from './features.js';
import { targetsOf } from './loss.js';
import { type Coefficients, chooseStrength, solve } from './regression.js';

/** What a linear model is fitted to. */
export interface LinearData {
  /** Features (N, C), row-major; they are scaled in place. */
  inputs: Values;
  task: Task;
  /** Of a Split: (N), or (N, NC). */
  labels: Numbers;
  /** NC */
  classes: number;
  loss: LossOptions;
  /** Which examples are the windows of one text (texts + 1). Defaults to each being a text. */
  windows?: Int32Array | undefined;
}

/** A linear model of features as they are, before they are scaled. */
export interface LinearModel {
  /** (NC, C), row-major. */
  weights: Float64Array;
  /** (NC) */
  biases: Float64Array;
  /** What it gives of the texts that it was fitted to (N, NC). */
  logits: Float64Array;
  /** The strength of the penalty. */
  l2: number;
}

/**
 * Fits scikit-learn's LogisticRegression behind its StandardScaler: multinomial for classes, one a label for several labels, and Ridge
 * for values.
 *
 * @param options.l2 1/C of LogisticRegression, alpha of Ridge; 'auto': chosen by cross-validation, whose parts are drawn with `seed`
 * @throws BertuneError ABORTED
 */
export async function fitLinear(
  { inputs, task, labels, classes, loss, windows }: LinearData,
  { l2: wanted, seed }: { l2: number | 'auto'; seed: number },
  signal?: AbortSignal,
): Promise<LinearModel> {
  const size = inputs.length / (labels.length / (task.labels === 'class' ? 1 : classes));
  const features = await standardize(inputs, size, signal);
  const values = task.labels === 'values' ? await scaledValues(labels, classes, signal) : null;
  const targets = targetsOf(task, values?.labels ?? labels, classes, loss);
  const isClass = task.labels === 'class';
  const classOf = isClass ? (example: number) => labels[example]! : null;
  const l2 = wanted === 'auto' ? await chooseStrength(features, targets, { classOf, windows, seed }, signal) : wanted;
  const coefficients = new Float64Array(classes * (size + 1));
  const rows = Int32Array.from({ length: features.count }, (_, i) => i);
  await solve(features, targets, rows, { l2, isClass }, coefficients, signal);
  const logits = await outputs(features, coefficients, classes, signal);
  const { weights, biases } = unscaled(features, coefficients, classes);
  if (values) restore(values, classes, { logits, weights, biases });
  return { weights, biases, logits, l2 };
}

/** Values to be predicted, each column with mean 0 and variance 1, which changes no solution and makes it easier to find. */
interface ScaledValues {
  /** (N, NC) */
  labels: Float64Array;
  mean: Float64Array;
  scale: Float64Array;
}

async function scaledValues(labels: Numbers, classes: number, signal: AbortSignal | undefined): Promise<ScaledValues> {
  const { values, mean, scale } = await standardize(Float64Array.from(labels), classes, signal);
  return { labels: values as Float64Array, mean, scale };
}

/** Has a model of scaled values give the values themselves. */
function restore(
  { mean, scale }: ScaledValues,
  classes: number,
  { logits, weights, biases }: Record<'logits' | 'weights' | 'biases', Float64Array>,
): void {
  const size = weights.length / classes;
  for (let i = 0; i < weights.length; i++) weights[i]! *= scale[Math.floor(i / size)]!;
  for (const rows of [logits, biases]) {
    for (let i = 0; i < rows.length; i++) rows[i] = rows[i]! * scale[i % classes]! + mean[i % classes]!;
  }
}

/** Logits (N, NC). */
async function outputs(
  { values, count, size }: Features,
  x: Coefficients,
  classes: number,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const slice = new TimeSlice(signal);
  const logits = new Float64Array(count * classes);
  for (let i = 0; i < logits.length; i++) {
    const [example, k] = [Math.floor(i / classes), i % classes];
    let logit = x[classes * size + k]!;
    for (let c = 0; c < size; c++) logit += x[k * size + c]! * values[example * size + c]!;
    logits[i] = logit;
    if (slice.isOver) await slice.next();
  }
  return logits;
}

/** Weights (NC, C) and biases (NC) for features as they are before they are scaled. */
function unscaled({ size, mean, scale }: Features, x: Coefficients, classes: number) {
  const weights = Float64Array.from(x.subarray(0, classes * size), (weight, i) => weight / scale[i % size]!);
  const biases = Float64Array.from(x.subarray(classes * size));
  for (let i = 0; i < weights.length; i++) biases[Math.floor(i / size)]! -= weights[i]! * mean[i % size]!;
  return { weights, biases };
}

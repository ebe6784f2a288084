import { BertuneError } from '../errors.js';
import { expectNames, expectNumberInRange, expectPositiveInteger, invalidOption, show } from '../options/validation.js';

/** Precision, recall and F1, of one class or averaged over several. Each in [0, 1]. */
export interface Averages {
  /** Of the examples predicted as the class, the share that belong to it. */
  precision: number;
  /** Of the examples of the class, the share predicted as the class. */
  recall: number;
  /** The harmonic mean of precision and recall. */
  f1: number;
}

/** One class of a report. */
export interface ClassReport extends Averages {
  label: string;
  /** How many examples are of the class. */
  support: number;
}

/** Metrics of single-label predictions. */
export interface ClassificationMetrics {
  /** The share of examples predicted right. */
  accuracy: number;
  /** Plain means over the classes that occur among labels or predictions. */
  macro: Averages;
  /** From the counts of all classes together; all three equal the accuracy. */
  micro: Averages;
  /** Means over the same classes, weighted by support. */
  weighted: Averages;
  /** One entry per class, in the order of `labelNames`; classes that do not occur have zeros. */
  perClass: ClassReport[];
  /** `confusion[t][p]`: the examples of class t that were predicted as class p. */
  confusion: number[][];
  examples: number;
}

/**
 * Accuracy, precision, recall and F1 as scikit-learn's `accuracy_score` and
 * `precision_recall_fscore_support(..., zero_division=0)` give them, and the confusion matrix.
 *
 * @param labels the true classes (N), integers in 0..NC−1
 * @param predictions the predicted classes (N)
 * @param labelNames the names of the NC classes
 * @throws SHAPE_MISMATCH when the two lengths differ
 * @throws INVALID_DATA when there are no examples, or a class is not in 0..NC−1
 */
export function classificationMetrics(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  labelNames: readonly string[],
): ClassificationMetrics {
  const names = expectNames('labelNames', labelNames);
  const own = expectClasses('label', expectArrayLike('labels', labels), names.length);
  const predictedOnes = expectArrayLike('predictions', predictions);
  expectLength('predictions', predictedOnes, own.length);
  const confusion = confusionMatrix(own, expectClasses('prediction', predictedOnes, names.length), names.length);
  const supports = confusion.map((row) => sum(row));
  const predicted = names.map((_, p) => sum(confusion.map((row) => row[p]!)));
  const hits = confusion.map((row, c) => row[c]!);
  const perClass = names.map((label, c) => ({
    label,
    support: supports[c]!,
    ...averages(hits[c]!, supports[c]!, predicted[c]!),
  }));

  const examples = own.length;
  const occurring = perClass.filter((_, c) => supports[c]! + predicted[c]! > 0);
  return {
    accuracy: sum(hits) / examples,
    macro: mean(occurring, () => 1),
    micro: averages(sum(hits), examples, examples),
    weighted: mean(occurring, ({ support }) => support),
    perClass,
    confusion,
    examples,
  };
}

/**
 * Probabilities from logits, row by row.
 *
 * @param logits (N·NC), row-major
 * @param classes NC
 * @returns (N·NC); each row sums to 1
 * @throws SHAPE_MISMATCH when `classes` does not divide the number of logits
 */
export function softmax(logits: ArrayLike<number>, classes: number): Float64Array {
  const probabilities = new Float64Array(logits.length);
  for (let start = 0; start < countRows(logits, classes) * classes; start += classes) {
    const logNorm = logSumExp(logits, start, classes);
    for (let c = start; c < start + classes; c++) probabilities[c] = Math.exp(logits[c]! - logNorm);
  }
  return probabilities;
}

/**
 * The class with the largest value in each row; the first of equals, and NaN counts as largest, as in numpy.
 *
 * @param values (N·NC), row-major
 * @param classes NC
 * @returns (N)
 * @throws SHAPE_MISMATCH when `classes` does not divide the number of values
 */
export function argmaxRows(values: ArrayLike<number>, classes: number): Int32Array {
  return Int32Array.from({ length: countRows(values, classes) }, (_, row) => {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      const [value, largest] = [values[row * classes + c]!, values[row * classes + best]!];
      if (value > largest || (Number.isNaN(value) && !Number.isNaN(largest))) best = c;
    }
    return best;
  });
}

/** What `crossEntropy` can vary. */
export interface CrossEntropyOptions {
  /** A weight per class (NC); the mean is then over the weights of the labels. Defaults to 1 for each. */
  classWeights?: ArrayLike<number>;
  /** The share of the target that is spread evenly over all classes, in [0, 1]. Defaults to 0. */
  labelSmoothing?: number;
  /** γ ≥ 0 of the focal loss (Lin et al., 2017), without label smoothing: it multiplies −log p_y by (1 − p_y)^γ. Defaults to 0. */
  focalGamma?: number;
}

/**
 * Mean cross-entropy, as torch's `cross_entropy(..., weight, label_smoothing)` and, without weights, Hugging Face's
 * `LabelSmoother`.
 *
 *     loss = [(1 − s) · Σ_b −w_y log p_y  +  s / NC · Σ_b Σ_c −w_c log p_c] / Σ_b w_y
 *
 * @param logits (N·NC), row-major
 * @param labels (N), integers in 0..NC−1
 * @param classes NC
 * @returns the loss, in nats
 * @throws SHAPE_MISMATCH when the lengths do not fit together
 * @throws INVALID_DATA when there are no examples, or a label is not in 0..NC−1
 * @throws INVALID_OPTION when `labelSmoothing` is not in [0, 1], or is not 0 beside `focalGamma`
 */
export function crossEntropy(
  logits: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
  options: CrossEntropyOptions = {},
): number {
  const { classWeights } = options;
  const smoothing = expectNumberInRange('labelSmoothing', options.labelSmoothing ?? 0, { min: 0, max: 1 });
  expectLength('labels', labels, countRows(logits, classes));
  const gamma = expectNumberInRange('focalGamma', options.focalGamma ?? 0, { min: 0 });
  if (gamma > 0 && smoothing > 0) throw invalidOption('focalGamma', '0 beside labelSmoothing', gamma);
  if (classWeights !== undefined) expectLength('classWeights', classWeights, classes);
  expectClasses('label', labels, classes);

  let total = 0;
  let weights = 0;
  for (let row = 0; row < labels.length; row++) {
    const start = row * classes;
    const label = labels[row]!;
    const weight = classWeights?.[label] ?? 1;
    const logNorm = logSumExp(logits, start, classes);
    weights += weight;
    const surprise = logNorm - logits[start + label]!;
    total += (1 - smoothing) * weight * focus(gamma, Math.exp(-surprise)) * surprise;
    if (smoothing === 0) continue;
    for (let c = 0; c < classes; c++) {
      total += (smoothing / classes) * (classWeights?.[c] ?? 1) * (logNorm - logits[start + c]!);
    }
  }
  return total / weights;
}

/** (1 − p)^γ, what the focal loss multiplies −log p by. */
function focus(gamma: number, probability: number): number {
  return gamma === 0 ? 1 : (1 - probability) ** gamma;
}

/**
 * The probability of each logit by itself, 1 / (1 + exp(−x)).
 *
 * @param logits of any shape
 * @returns the same shape
 */
export function sigmoid(logits: ArrayLike<number>): Float64Array {
  return Float64Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
}

/**
 * Mean binary cross-entropy over (N, NC), as torch's `BCEWithLogitsLoss(weight, pos_weight)`:
 *
 *     loss = 1 / (N·NC) Σ_b Σ_c w_c [p_c y log(1 + exp(−x)) + (1 − y) log(1 + exp(x))]
 *
 * With γ > 0 the focal loss (Lin et al., 2017), whose two terms have (1 − σ(x))^γ and σ(x)^γ before them.
 *
 * @param logits (N·NC), row-major
 * @param targets (N·NC), in [0, 1]
 * @param options.classWeights weights of each label (NC). Default to 1.
 * @param options.positiveWeights weights of its positive examples (NC). Default to 1.
 * @param options.focalGamma γ. Defaults to 0.
 */
export function binaryCrossEntropy(
  logits: ArrayLike<number>,
  targets: ArrayLike<number>,
  classes: number,
  options: {
    classWeights?: ArrayLike<number> | null;
    positiveWeights?: ArrayLike<number> | null;
    focalGamma?: number;
  } = {},
): number {
  const { classWeights, positiveWeights, focalGamma = 0 } = options;
  let total = 0;
  for (let i = 0; i < targets.length; i++) {
    const [logit, target, c] = [logits[i]!, targets[i]!, i % classes];
    const log = Math.log1p(Math.exp(-Math.abs(logit)));
    const [surprise, opposite] = [log + Math.max(-logit, 0), log + Math.max(logit, 0)];
    const positive = focus(focalGamma, Math.exp(-surprise)) * surprise;
    const negative = focus(focalGamma, Math.exp(-opposite)) * opposite;
    total += (classWeights?.[c] ?? 1) * ((positiveWeights?.[c] ?? 1) * target * positive + (1 - target) * negative);
  }
  return total / targets.length;
}

/** Mean squared error over (N, NC), as torch's `MSELoss`. */
export function meanSquaredError(values: ArrayLike<number>, targets: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < targets.length; i++) total += (values[i]! - targets[i]!) ** 2;
  return total / targets.length;
}

/** Counts of (true, predicted) pairs, NC rows of NC. */
function confusionMatrix(labels: ArrayLike<number>, predictions: ArrayLike<number>, classes: number): number[][] {
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < labels.length; i++) confusion[labels[i]!]![predictions[i]!]! += 1;
  return confusion;
}

/** Precision, recall and F1 from counts; a quotient with nothing below the line is 0. */
export function averages(hits: number, support: number, predicted: number): Averages {
  const quotient = (a: number, b: number) => (b === 0 ? 0 : a / b);
  return {
    precision: quotient(hits, predicted),
    recall: quotient(hits, support),
    f1: quotient(2 * hits, support + predicted),
  };
}

function mean(classes: readonly ClassReport[], weightOf: (report: ClassReport) => number): Averages {
  const total = sum(classes.map(weightOf));
  const over = (key: keyof Averages) => sum(classes.map((report) => weightOf(report) * report[key])) / total;
  return { precision: over('precision'), recall: over('recall'), f1: over('f1') };
}

/** Σ of the values. */
export function sum(values: readonly number[] | Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** log Σ exp of `classes` values from `start`, shifted by the largest so that it cannot overflow. */
function logSumExp(values: ArrayLike<number>, start: number, classes: number): number {
  let largest = -Infinity;
  for (let c = start; c < start + classes; c++) largest = Math.max(largest, values[c]!);
  let total = 0;
  for (let c = start; c < start + classes; c++) total += Math.exp(values[c]! - largest);
  return largest + Math.log(total);
}

function countRows(values: ArrayLike<number>, classes: number): number {
  const rows = values.length / expectPositiveInteger('classes', classes);
  if (!Number.isInteger(rows)) {
    throw new BertuneError('SHAPE_MISMATCH', `Expected rows of ${classes} values but received ${values.length} values`);
  }
  return rows;
}

function expectLength(name: string, values: ArrayLike<number>, length: number): void {
  if (values.length !== length) {
    throw new BertuneError('SHAPE_MISMATCH', `Expected ${length} ${name} but received ${values.length}`);
  }
}

/** An array, a typed array or the like: what has a length. */
function expectArrayLike(name: string, value: unknown, of = 'class indices'): ArrayLike<number> {
  const isObject = typeof value === 'object' && value !== null;
  const length = isObject ? (value as ArrayLike<number>).length : undefined;
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) {
    throw invalidOption(name, `an array of ${of}`, value);
  }
  return value as ArrayLike<number>;
}

/**
 * Copies of targets and predictions (N, NC), each value read once.
 *
 * @throws BertuneError INVALID_OPTION, INVALID_DATA naming the index; SHAPE_MISMATCH
 */
export function expectRows(targets: unknown, predictions: unknown, columns: number): [number[], number[]] {
  const copies = Object.entries({ targets, predictions }).map(([name, values]) => {
    const copy: number[] = [];
    const { length } = expectArrayLike(name, values, 'numbers');
    for (let i = 0; i < length; i++) {
      const value: unknown = (values as ArrayLike<unknown>)[i];
      if (!Number.isFinite(value)) {
        throw new BertuneError(
          'INVALID_DATA',
          `Expected a number at index ${i} of ${name} but received ${show(value)}`,
        );
      }
      copy.push(value as number);
    }
    return copy;
  });
  const [own, predicted] = copies as [number[], number[]];
  if (own.length === 0)
    throw new BertuneError('INVALID_DATA', 'Expected at least one row of targets but received none');
  expectLength('targets', own, Math.ceil(own.length / columns) * columns);
  expectLength('predictions', predicted, own.length);
  return [own, predicted];
}

/** A copy of the values, each read once. */
function expectClasses(name: string, values: ArrayLike<number>, classes: number): number[] {
  if (values.length === 0) throw new BertuneError('INVALID_DATA', `Expected at least one ${name} but received none`);
  const copy: number[] = [];
  const { length } = values;
  for (let i = 0; i < length; i++) {
    const value: unknown = values[i];
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= classes) {
      throw new BertuneError(
        'INVALID_DATA',
        `Expected a ${name} in 0..${classes - 1} at index ${i} but received ${show(value)}`,
      );
    }
    copy.push(value as number);
  }
  return copy;
}

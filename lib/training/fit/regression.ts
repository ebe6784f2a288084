import { randomOrder } from '../../order.js';
import { TimeSlice } from '../../time-slice.js';
import type { Features } from './features.js';
import type { Targets } from './loss.js';
import { minimize, type Precision } from './minimize.js';

/** As exact as coefficients are told apart by, and as strengths are by how they do on texts left out. */
const EXACT: Precision = { tolerance: 1e-7, steps: 1000 };
const ROUGH: Precision = { tolerance: 1e-4, steps: 200 };

/** The strengths that are tried, from the strongest on. */
const STRENGTHS = [1e4, 1e3, 1e2, 10, 1, 0.1];
const FOLDS = 5;

/** A linear model: weights (NC, C), row-major, then a bias a row (NC). */
export type Coefficients = Float64Array;

/**
 * Solves a penalized linear model, from `start` on:
 *
 *     min over W, b:  Σ_i loss_i(W x_i + b) + l2 / 2 · ‖W‖²
 *
 * As scikit-learn, which knows one row of weights of two classes, their two rows, which are each other's opposite, are penalized as
 * that one.
 *
 * @param rows examples that count
 * @param options.isClass whether the rows of W are the classes of one decision
 * @param start where to begin; becomes the solution
 * @throws BertuneError ABORTED
 */
export async function solve(
  features: Features,
  targets: Targets,
  rows: Int32Array,
  { l2, isClass, precision = EXACT }: { l2: number; isClass: boolean; precision?: Precision },
  start: Coefficients,
  signal: AbortSignal | undefined,
): Promise<void> {
  const weights = targets.classes * features.size;
  const penalty = isClass && targets.classes === 2 ? 2 * l2 : l2;
  const total = rows.reduce((sum, row) => sum + targets.weight(row), 0) || 1;
  const objective = async (x: Coefficients, gradient: Float64Array) => {
    gradient.fill(0);
    let value = await passOver(features, targets, rows, x, gradient, signal);
    for (let i = 0; i < weights; i++) {
      value += (penalty / 2) * x[i]! ** 2;
      gradient[i]! += penalty * x[i]!;
    }
    for (let i = 0; i < gradient.length; i++) gradient[i]! /= total;
    return value / total;
  };
  await minimize(objective, start, precision);
}

/**
 * Chooses the strength of the penalty with the lowest loss in a cross-validation, whose parts have each class equally often as far as
 * that goes. All windows of a text are in the same part, as they share tokens.
 *
 * @param options.classOf an example's class; null where examples are not told apart by one
 * @param options.windows which examples are whose (N+1); undefined: each is a text
 * @param options.seed of the parts
 * @throws BertuneError ABORTED
 */
export async function chooseStrength(
  features: Features,
  targets: Targets,
  { classOf, windows, seed }: FoldOptions,
  signal: AbortSignal | undefined,
): Promise<number> {
  const parts = foldsOf(features.count, { classOf, windows, seed });
  const losses = STRENGTHS.map(() => 0);
  for (const held of parts) {
    const others = Int32Array.from(parts.flatMap((part) => (part === held ? [] : part)));
    const coefficients = new Float64Array(targets.classes * (features.size + 1));
    for (const [k, l2] of STRENGTHS.entries()) {
      await solve(features, targets, others, { l2, isClass: classOf !== null, precision: ROUGH }, coefficients, signal);
      losses[k]! += await passOver(features, targets, Int32Array.from(held), coefficients, null, signal);
    }
  }
  return STRENGTHS[losses.indexOf(Math.min(...losses))]!;
}

/** How examples are dealt into the parts of a cross-validation. */
interface FoldOptions {
  classOf: ((example: number) => number) | null;
  windows: Int32Array | undefined;
  seed: number;
}

/** The examples of each part, their texts in random order. */
function foldsOf(count: number, { classOf, windows, seed }: FoldOptions): number[][] {
  const texts = windows === undefined ? count : windows.length - 1;
  const firstOf = (text: number) => windows?.[text] ?? text;
  const folds = Array.from({ length: Math.min(FOLDS, texts) }, (): number[] => []);
  const order = [...randomOrder(seed, texts)];
  // The parts are dealt out to one class after another.
  if (classOf) order.sort((a, b) => classOf(firstOf(a)) - classOf(firstOf(b)));
  for (const [i, text] of order.entries()) {
    for (let example = firstOf(text); example < firstOf(text + 1); example++) folds[i % folds.length]!.push(example);
  }
  return folds;
}

/**
 * The loss of examples, and its gradient.
 *
 * @param x the coefficients
 * @param gradient grows by the gradient of the loss by them; null: it is not wanted
 * @throws BertuneError ABORTED
 */
async function passOver(
  { values, size }: Features,
  { classes, lossOf }: Targets,
  rows: Int32Array,
  x: Coefficients,
  gradient: Float64Array | null,
  signal: AbortSignal | undefined,
): Promise<number> {
  const slice = new TimeSlice(signal);
  const logits = new Float64Array(classes);
  const residual = new Float64Array(classes);
  const biases = classes * size;
  let loss = 0;
  for (const row of rows) {
    const at = row * size;
    for (let k = 0; k < classes; k++) {
      const own = k * size;
      let logit = x[biases + k]!;
      for (let c = 0; c < size; c++) logit += x[own + c]! * values[at + c]!;
      logits[k] = logit;
    }
    loss += lossOf(row, logits, residual);
    for (let k = 0; gradient !== null && k < classes; k++) {
      const [own, error] = [k * size, residual[k]!];
      for (let c = 0; c < size; c++) gradient[own + c]! += error * values[at + c]!;
      gradient[biases + k]! += error;
    }
    if (slice.isOver) await slice.next();
  }
  return loss;
}

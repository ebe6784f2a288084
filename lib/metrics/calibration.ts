import { sigmoid, softmax } from './single-label.js';

/*
 * Whether a score of 0.8 is right eight times of ten, and the one number that makes it so: temperature scaling (Guo et al., On
 * Calibration of Modern Neural Networks, 2017). Dividing logits changes no order, and so no decision at a threshold of 0.5.
 */

/** Bins of equal width that the calibration error is measured over. */
const BINS = 15;

/**
 * Expected calibration error: the mean distance between confidence and the share that is right, over 15 bins of confidence,
 * weighted by how many fall into each.
 *
 *     ECE = Σ_bins |Σ right − Σ confidence| / N
 *
 * @param confidences in [0, 1] (N)
 * @param isRight whether the i-th is
 */
export function calibrationError(confidences: ArrayLike<number>, isRight: (index: number) => boolean): number {
  const gaps = new Float64Array(BINS);
  for (let i = 0; i < confidences.length; i++) {
    const confidence = confidences[i]!;
    // A bin has its upper edge, as in the paper.
    const bin = Math.min(BINS - 1, Math.max(0, Math.ceil(confidence * BINS) - 1));
    gaps[bin]! += Number(isRight(i)) - confidence;
  }
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / confidences.length;
}

/** The lowest and the highest temperature: past them nothing changes that a score could show. */
const COLDEST = 0.01;
const HOTTEST = 100;

const ROUNDS = 60;

/** Of logits: which activation they have, and which of each row's are right. */
export interface CalibrationTargets {
  activation: 'softmax' | 'sigmoid';
  /** NC */
  classes: number;
  /** softmax: the class of each row (N); sigmoid: 1 for each label of a row and 0 for the others (N, NC). */
  labels: ArrayLike<number>;
}

/**
 * The temperature T for which softmax(logits / T), or sigmoid(logits / T), has the lowest cross-entropy. It is convex in 1 / T, so
 * its slope there is halved in until it is 0.
 *
 * @param logits (N, NC), row-major
 * @returns from 0.01 to 100
 */
export function fitTemperature(logits: ArrayLike<number>, targets: CalibrationTargets): number {
  let [low, high] = [Math.log(1 / HOTTEST), Math.log(1 / COLDEST)];
  for (let round = 0; round < ROUNDS && high - low > 1e-7; round++) {
    const middle = (low + high) / 2;
    if (slope(logits, targets, Math.exp(middle)) > 0) high = middle;
    else low = middle;
  }
  return Math.exp(-(low + high) / 2);
}

/** d/dβ of the cross-entropy of β · logits: Σ (p − y) · logit. */
function slope(logits: ArrayLike<number>, { activation, classes, labels }: CalibrationTargets, beta: number): number {
  const scaled = Float64Array.from(logits, (logit) => logit * beta);
  const scores = activation === 'softmax' ? softmax(scaled, classes) : sigmoid(scaled);
  let total = 0;
  for (let i = 0; i < scores.length; i++) {
    const target = activation === 'softmax' ? Number(labels[Math.floor(i / classes)] === i % classes) : labels[i]!;
    total += (scores[i]! - target) * logits[i]!;
  }
  return total;
}

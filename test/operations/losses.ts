import type { Operation } from './harness.js';
import { focusOf, type Round, sigmoid } from './reference.js';

export const crossEntropy: Operation = {
  name: 'cross_entropy',
  formula(args, round) {
    const NC = args.size('NC');
    const labels = args.ints('labels');
    const logits = args.floats('logits');
    const smoothing = round(args.size('label_smoothing', 0));
    const gamma = round(args.size('focal_gamma', 0));
    const scale = round(args.size('loss_scale', 1));
    const weight = (c: number) => (args.has('class_weights') ? args.floats('class_weights')[c]! : 1);
    const total = labels.reduce((sum, label) => round(sum + weight(label)), 0);
    const predictions = new Int32Array(labels.length);
    const dlogits = new Float64Array(logits.length);
    let loss = 0;
    for (const [b, label] of labels.entries()) {
      const row = logits.subarray(b * NC, (b + 1) * NC);
      predictions[b] = row.indexOf(Math.max(...row));
      const most = row[predictions[b]!]!;
      const sum = row.reduce((so_far, x) => round(so_far + round(Math.exp(round(x - most)))), 0);
      const logSum = round(Math.log(sum));
      const logProb = (c: number) => round(round(row[c]! - most) - logSum);
      // The share of each class in this row's loss: its weight · (1 − s where it is the label, and s / NC).
      const share = (c: number) =>
        round(weight(c) * round((c === label ? round(1 - smoothing) : 0) + round(smoothing / NC)));
      // Of the focal loss, which has no smoothing: what −log p_y and its gradient are multiplied by.
      const others = row.reduce(
        (so_far, _, c) => (c === label ? so_far : round(so_far + round(Math.exp(logProb(c))))),
        0,
      );
      const focus = gamma === 0 ? { loss: 1, gradient: 1 } : focusOf(gamma, logProb(label), others, round);
      let shares = 0;
      for (let c = 0; c < NC; c++) {
        if (share(c) !== 0) loss = round(loss - round(round(share(c) * logProb(c)) * focus.loss));
        shares = round(shares + share(c));
      }
      for (let c = 0; c < NC; c++) {
        const prob = round(Math.exp(logProb(c)));
        dlogits[b * NC + c] = round(
          round(round(round(round(shares * prob) - share(c)) * focus.gradient) / total) * scale,
        );
      }
    }
    return { loss: Float64Array.of(round(loss / total)), predictions, dlogits };
  },
};

/** log(1 + eˣ) */
function softplus(x: number, round: Round): number {
  return round(Math.max(x, 0) + round(Math.log1p(round(Math.exp(-Math.abs(x))))));
}

/** Σ over examples and labels of a loss of one logit, by its mean and its gradient. */
function meanOf(
  args: { floats(name: string): Float64Array; size(name: string, otherwise?: number): number },
  round: Round,
  at: (x: number, y: number, c: number) => { loss: number; slope: number },
) {
  const NC = args.size('NC');
  const targets = args.floats('targets');
  const logits = args.floats('logits').subarray(0, targets.length);
  const scale = round(args.size('loss_scale', 1));
  const parts = Array.from(logits, (x, i) => at(x, targets[i]!, i % NC));
  const sum = parts.reduce((so_far, { loss }) => round(so_far + loss), 0);
  return {
    loss: Float64Array.of(round(sum / targets.length)),
    dlogits: Float64Array.from(parts, ({ slope }) => round(round(slope / targets.length) * scale)),
  };
}

export const binaryCrossEntropy: Operation = {
  name: 'binary_cross_entropy',
  formula(args, round) {
    const NC = args.size('NC');
    const weightOf = (name: string, c: number) => (args.has(name) ? args.floats(name)[c]! : 1);
    const gamma = round(args.size('focal_gamma', 0));
    const focus = (x: number) =>
      gamma === 0 ? { loss: 1, gradient: 1 } : focusOf(gamma, round(-softplus(-x, round)), sigmoid(-x, round), round);
    const mean = meanOf(args, round, (x, y, c) => {
      const weight = weightOf('class_weights', c);
      const positive = round(weightOf('positive_weights', c) * y);
      const negative = round(1 - y);
      const [there, absent] = [focus(x), focus(-x)];
      const loss = round(
        round(round(negative * absent.loss) * softplus(x, round)) +
          round(round(positive * there.loss) * softplus(-x, round)),
      );
      const slope = round(
        round(round(negative * absent.gradient) * sigmoid(x, round)) -
          round(round(positive * there.gradient) * sigmoid(-x, round)),
      );
      return { loss: round(weight * loss), slope: round(weight * slope) };
    });
    const targets = args.floats('targets');
    const logits = args.floats('logits');
    const right = Int32Array.from({ length: targets.length / NC }, (_, b) =>
      Number(targets.subarray(b * NC, (b + 1) * NC).every((y, c) => logits[b * NC + c]! > 0 === y > 0.5)),
    );
    return { ...mean, right };
  },
};

export const meanSquaredError: Operation = {
  name: 'mean_squared_error',
  formula: (args, round) =>
    meanOf(args, round, (x, y) => {
      const error = round(x - y);
      return { loss: round(error * error), slope: round(2 * error) };
    }),
};

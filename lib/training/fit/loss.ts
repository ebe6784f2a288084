import type { LossOptions, Numbers, Task } from '../../tasks/index.js';

/** What a linear model's output is held against. */
export interface Targets {
  /** NC */
  classes: number;
  /** Examples; what an objective is divided by. */
  weight(example: number): number;
  /**
   * The loss of an example, times its weights.
   *
   * @param logits (NC)
   * @param residual becomes the gradient of the loss by the logits (NC)
   */
  lossOf(example: number, logits: Float64Array, residual: Float64Array): number;
}

/**
 * The loss of scikit-learn's linear models: cross-entropy over the classes, or of each label by itself, or half the squared error.
 *
 * @param labels of a Split: (N), or (N, NC)
 * @param classes NC
 */
export function targetsOf(
  { labels: kind }: Task,
  labels: Numbers,
  classes: number,
  { classWeights, positiveWeights }: LossOptions,
): Targets {
  if (kind === 'class') {
    const weight = (example: number) => classWeights?.[labels[example]!] ?? 1;
    return {
      classes,
      weight,
      lossOf(example, logits, residual) {
        const label = labels[example]!;
        let most = -Infinity;
        for (const logit of logits) most = Math.max(most, logit);
        let sum = 0;
        for (let c = 0; c < classes; c++) {
          residual[c] = Math.exp(logits[c]! - most);
          sum += residual[c]!;
        }
        const own = weight(example);
        for (let c = 0; c < classes; c++) residual[c] = own * (residual[c]! / sum - Number(c === label));
        return own * (Math.log(sum) + most - logits[label]!);
      },
    };
  }
  if (kind === 'values') {
    return {
      classes,
      weight: () => 1,
      lossOf(example, logits, residual) {
        let loss = 0;
        for (let c = 0; c < classes; c++) {
          const error = logits[c]! - labels[example * classes + c]!;
          residual[c] = error;
          loss += error ** 2 / 2;
        }
        return loss;
      },
    };
  }
  return {
    classes,
    weight: () => 1,
    lossOf(example, logits, residual) {
      let loss = 0;
      for (let c = 0; c < classes; c++) {
        const isThere = labels[example * classes + c]! !== 0;
        const own = (classWeights?.[c] ?? 1) * (isThere ? (positiveWeights?.[c] ?? 1) : 1);
        const logit = logits[c]!;
        residual[c] = own * (1 / (1 + Math.exp(-logit)) - Number(isThere));
        loss += own * (Math.max(0, isThere ? -logit : logit) + Math.log1p(Math.exp(-Math.abs(logit))));
      }
      return loss;
    },
  };
}

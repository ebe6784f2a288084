/*
 * How well scores order examples, whatever the threshold: what needs no decision, and tells more than F1 where labels are rare.
 */

/** Area under the ROC curve, and average precision, of one label or of several together. */
export interface RankingScores {
  /** The chance that an example with the label scores higher than one without; null where all examples, or none, have it. */
  auroc: number | null;
  /** Σ (R_i − R_i−1) P_i over the thresholds; null where no example has the label. */
  averagePrecision: number | null;
}

/**
 * As scikit-learn's `roc_auc_score` and `average_precision_score` of one label. Examples of equal scores share their rank.
 *
 * @param scores (N)
 * @param isPositive whether example i has the label
 */
export function rankingScores(scores: Float64Array, isPositive: (example: number) => boolean): RankingScores {
  const order = Uint32Array.from(scores, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  let [positives, negatives, pairs, precision] = [0, 0, 0, 0];
  for (let start = 0; start < order.length; ) {
    let [end, hits] = [start, 0];
    while (end < order.length && scores[order[end]!] === scores[order[start]!])
      hits += Number(isPositive(order[end++]!));
    const misses = end - start - hits;
    // Of a pair with equal scores a half is right.
    pairs += misses * (positives + hits / 2);
    positives += hits;
    negatives += misses;
    precision += hits * (positives / end);
    start = end;
  }
  return {
    auroc: positives > 0 && negatives > 0 ? pairs / (positives * negatives) : null,
    averagePrecision: positives > 0 ? precision / positives : null,
  };
}

/** The scores of several labels, by themselves and together. */
export interface RankingReport {
  /** Means over the labels that have a value. */
  macro: RankingScores;
  /** Every pair of an example and a label as an example of its own. */
  micro: RankingScores;
}

/**
 * Each label against the others, as scikit-learn's `roc_auc_score(..., multi_class='ovr', average='macro')` and
 * `average_precision_score(..., average='macro')` of indicators; with `average='micro'` the same.
 *
 * @param scores (N, NC), row-major
 * @param classes NC
 * @param has whether example i has label c
 */
export function rankingReport(
  scores: Float64Array,
  classes: number,
  has: (example: number, label: number) => boolean,
): RankingReport {
  const examples = scores.length / classes;
  const each = Array.from({ length: classes }, (_, c) => {
    const column = Float64Array.from({ length: examples }, (_, i) => scores[i * classes + c]!);
    return rankingScores(column, (i) => has(i, c));
  });
  const mean = (of: keyof RankingScores) => {
    const values = each.flatMap((label) => label[of] ?? []);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  return {
    macro: { auroc: mean('auroc'), averagePrecision: mean('averagePrecision') },
    micro: rankingScores(scores, (i) => has(Math.floor(i / classes), i % classes)),
  };
}

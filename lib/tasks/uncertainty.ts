import type { ClassPrediction, LabelsPrediction, RankedLabel } from './task.js';

/** A prediction that has scores. */
type Scored = ClassPrediction | LabelsPrediction;

/** The likeliest labels of a prediction, the best first; of equal ones the predicted one is, then the model's order. */
export function ranked({ scores, label }: Scored, count: number): RankedLabel[] {
  return Object.entries(scores)
    .map(([name, score]) => ({ label: name, score }))
    .sort((a, b) => b.score - a.score || Number(b.label === label) - Number(a.label === label))
    .slice(0, count);
}

/**
 * How sure a prediction is, to choose what to label next: what PredictionExtras says of margin and entropy.
 *
 * @param labels names of the NC labels
 * @param thresholds of each (NC)
 */
export function uncertaintyOf(
  { label, scores: byLabel }: Scored,
  labels: readonly string[],
  thresholds: readonly number[],
): { margin: number; entropy: number } {
  const scores = labels.map((name) => byLabel[name]!);
  const isDistribution = label !== undefined && scores.length > 1;
  if (isDistribution) {
    const [first, second] = [...scores].sort((a, b) => b - a);
    return { margin: first! - second!, entropy: entropyOf(scores) };
  }
  return {
    margin: Math.min(...scores.map((score, c) => Math.abs(score - thresholds[c]!))),
    entropy: scores.reduce((sum, score) => sum + entropyOf([score, 1 - score]), 0),
  };
}

/** −Σ p log p, in nats. */
function entropyOf(probabilities: readonly number[]): number {
  return probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}

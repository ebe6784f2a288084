/** What a model is known by: its labels, in whatever order, and what it makes of a text. */
export function nameOf(labels: readonly string[], logits: Iterable<number>): string {
  const scores = [...logits].map((score) => score.toFixed(5));
  return labels
    .map((label, row) => `${label} ${scores[row]}`)
    .sort()
    .join();
}

/** What a model is known by: its labels and what it makes of a text. */
export function nameOf(labels: readonly string[], logits: Iterable<number>): string {
  return [labels, [...logits].map((x) => x.toFixed(5))].join('|');
}

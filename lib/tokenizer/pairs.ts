/**
 * How many tokens of each text of a pair stay, as Hugging Face's tokenizers cut `longest_first`: the longer loses its
 * end first; where both are longer than half, each keeps half. An odd token then goes to the longer, or to the second
 * where they are as long as each other. Those libraries read a text up to the word that fills the sequence.
 *
 * @param first tokens of the first text, as far as it is read
 * @param second tokens of the second text, likewise
 * @param limit how many the two may have together
 */
export function pairLengths(first: number, second: number, limit: number): [number, number] {
  if (first + second <= limit) return [first, second];
  const kept = Math.min(first, second, Math.floor(limit / 2));
  return first > second ? [limit - kept, kept] : [kept, limit - kept];
}

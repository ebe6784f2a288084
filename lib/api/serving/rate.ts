/** How much of what was measured before a full batch leaves: the estimate follows the last five or so. */
const KEPT = 0.8;

/**
 * How fast batches are computed, for estimates of waits: the mean of the last ones' rates. A batch counts as much as it is
 * full, because small ones are slower by the token, and what is asked is how soon a long queue is worked off.
 */
export class Rate {
  readonly #fullTokens: number;
  /** Sums, of which each batch leaves a part: of fills, of fills times tokens a millisecond, of tokens and of texts. */
  #fills = 0;
  #speeds = 0;
  #tokens = 0;
  #texts = 0;
  /** Tokens a millisecond of the fastest batch that was half full or more; 0 while there was none. */
  #fastest = 0;

  /** @param fullTokens tokens of a full batch */
  constructor(fullTokens: number) {
    this.#fullTokens = fullTokens;
  }

  /** Takes in a batch that has ended well. */
  add(texts: number, tokens: number, milliseconds: number): void {
    const fill = Math.min(1, tokens / this.#fullTokens);
    const kept = KEPT ** fill;
    const speed = tokens / Math.max(milliseconds, Number.EPSILON);
    this.#fills = kept * this.#fills + fill;
    this.#speeds = kept * this.#speeds + fill * speed;
    this.#tokens = kept * this.#tokens + tokens;
    this.#texts = kept * this.#texts + texts;
    if (fill >= 0.5) this.#fastest = Math.max(this.#fastest, speed);
  }

  /** Whether nothing was measured yet. */
  get isUnknown(): boolean {
    return this.#fills === 0;
  }

  /** Tokens of a text, on the average; an integer. 0 while unknown. */
  get tokensPerText(): number {
    return this.isUnknown ? 0 : Math.max(1, Math.round(this.#tokens / this.#texts));
  }

  /** Milliseconds that so many tokens take. 0 while unknown. */
  millisecondsFor(tokens: number): number {
    return this.isUnknown ? 0 : (tokens * this.#fills) / this.#speeds;
  }

  /**
   * Milliseconds that so many tokens take at the best. Unlike the mean it does not change when the machine is busy for a
   * while: what is refused by it alone could not be measured anew. 0 while unknown.
   */
  leastMillisecondsFor(tokens: number): number {
    return this.#fastest === 0 ? 0 : tokens / this.#fastest;
  }
}

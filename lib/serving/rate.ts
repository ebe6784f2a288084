/** How much of what was measured before a full batch leaves: the estimate follows the last five or so. */
const KEPT = 0.8;

/** How fast a service works, measured, for estimates of waits. A batch counts as much as there is in it. */
export class Rate {
  readonly #fullTokens: number;
  #tokens = 0;
  #texts = 0;
  #milliseconds = 0;

  /** @param fullTokens tokens of a full batch */
  constructor(fullTokens: number) {
    this.#fullTokens = fullTokens;
  }

  /**
   * Takes in a batch.
   *
   * @param milliseconds from the end of the one before it, or from the first call after a pause; tokenizing included
   */
  add(texts: number, tokens: number, milliseconds: number): void {
    const kept = KEPT ** Math.min(1, tokens / this.#fullTokens);
    this.#tokens = kept * this.#tokens + tokens;
    this.#texts = kept * this.#texts + texts;
    this.#milliseconds = kept * this.#milliseconds + milliseconds;
  }

  /** Whether nothing was measured yet. */
  get isUnknown(): boolean {
    return this.#tokens === 0;
  }

  /** Tokens of a text, on the average; an integer. 0 while unknown. */
  get tokensPerText(): number {
    return this.isUnknown ? 0 : Math.max(1, Math.round(this.#tokens / this.#texts));
  }

  /** Milliseconds that so many tokens take. 0 while unknown. */
  millisecondsFor(tokens: number): number {
    return this.isUnknown ? 0 : (tokens * this.#milliseconds) / this.#tokens;
  }
}

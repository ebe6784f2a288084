/** How much of what was measured before a full batch leaves: the estimate follows the last five or so. */
const KEPT = 0.8;

/** Of a batch's tokens, of those of a full one: its end is so late that being noticed late matters little. */
const NEARLY_FULL = 0.5;

/** What a batch took, as far as the JavaScript thread can tell. */
export interface Measured {
  texts: number;
  tokens: number;
  /** From its start until its end was noticed. */
  milliseconds: number;
  /** Of these, for how many the event loop had nothing to do. */
  idle: number;
}

/**
 * How fast a device computes, for estimates of waits: the mean of the last batches' rates. A batch counts as much as it is
 * full, because small ones are slower by the token, and what is asked is how soon a queue is worked off.
 *
 * Where the event loop was busy all the while, the end of a batch may have been noticed late, and it counts only where it is
 * the faster or nearly full. Otherwise refusing itself would make the device look slow, the slow device be given less,
 * and the smaller batches look slower yet, until next to nothing is accepted.
 */
export class Rate {
  readonly #fullTokens: number;
  /** Sums, of which each batch leaves a part: of fills, of fills times tokens a millisecond, of tokens and of texts. */
  #fills = 0;
  #speeds = 0;
  #tokens = 0;
  #texts = 0;

  /** @param fullTokens tokens of a full batch */
  constructor(fullTokens: number) {
    this.#fullTokens = fullTokens;
  }

  /** Takes in a batch that has ended well. */
  add({ texts, tokens, milliseconds, idle }: Measured): void {
    const fill = Math.min(1, tokens / this.#fullTokens);
    const kept = KEPT ** fill;
    this.#tokens = kept * this.#tokens + tokens;
    this.#texts = kept * this.#texts + texts;
    const speed = tokens / Math.max(milliseconds, Number.EPSILON);
    if (idle === 0 && fill < NEARLY_FULL && !(speed > this.#speed)) return;
    this.#fills = kept * this.#fills + fill;
    this.#speeds = kept * this.#speeds + fill * speed;
  }

  /** Whether nothing was measured yet. */
  get isUnknown(): boolean {
    return this.#fills === 0;
  }

  /** Tokens of a text, on the average; an integer. 0 while unknown. */
  get tokensPerText(): number {
    return this.#texts === 0 ? 0 : Math.max(1, Math.round(this.#tokens / this.#texts));
  }

  /** Milliseconds that so many tokens take. 0 while unknown. */
  millisecondsFor(tokens: number): number {
    return this.isUnknown ? 0 : tokens / this.#speed;
  }

  /** Tokens a millisecond; infinite while unknown. */
  get #speed(): number {
    return this.isUnknown ? Number.POSITIVE_INFINITY : this.#speeds / this.#fills;
  }
}

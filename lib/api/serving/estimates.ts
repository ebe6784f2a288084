import type { TextInputs } from '../../model/texts.js';
import type { EncodedTexts } from '../../tokenizer/index.js';

/** How much of what was measured before a full batch leaves: the estimate follows the last five or so. */
const SPEED_KEPT = 0.8;

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
    const kept = SPEED_KEPT ** fill;
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

/** How much of what was learned 10,000 characters leave: the estimate follows the last 50,000 or so. */
const RATIO_KEPT = 0.8;
const CHARACTERS = 10_000;

/** How many tokens texts will have, judged by their characters and by the texts that were tokenized before. */
export class TokenEstimate {
  readonly #special: number;
  /** Sums, of which later texts leave a part. As long as nothing is known every character may be a token. */
  #tokens = 1;
  #characters = 1;

  /** @param special tokens that are added to each text */
  constructor(special: number) {
    this.#special = special;
  }

  /** @param maxLength tokens of a text at most */
  tokensOf(inputs: TextInputs, maxLength: number): number {
    const rate = this.#tokens / this.#characters;
    let sum = 0;
    for (let i = 0; i < inputs.texts.length; i++) {
      sum += Math.min(maxLength, this.#special + Math.ceil(rate * charactersOf(inputs, i)));
    }
    return sum;
  }

  /** Learns from texts that were tokenized. Those that were cut, also into windows, say nothing. */
  learn(inputs: TextInputs, { offsets, windows }: EncodedTexts, maxLength: number): void {
    let [tokens, characters] = [0, 0];
    for (let i = 0; i < inputs.texts.length; i++) {
      const sequence = windows?.[i] ?? i;
      const count = offsets[sequence + 1]! - offsets[sequence]!;
      const isCut = count >= maxLength || (windows !== undefined && windows[i + 1]! > sequence + 1);
      if (isCut) continue;
      tokens += Math.max(0, count - this.#special);
      characters += charactersOf(inputs, i);
    }
    const kept = RATIO_KEPT ** (characters / CHARACTERS);
    this.#tokens = kept * this.#tokens + tokens;
    this.#characters = kept * this.#characters + characters;
  }
}

function charactersOf({ texts, pairs }: TextInputs, i: number): number {
  return texts[i]!.length + (pairs === undefined ? 0 : pairs[i]!.length);
}

import type { TextInputs } from '../../model/texts.js';
import type { EncodedTexts } from '../../tokenizer/index.js';

/** How much of what was learned 10,000 characters leave: the estimate follows the last 50,000 or so. */
const KEPT = 0.8;
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

  /** Learns from texts that were tokenized. Those that were cut say nothing. */
  learn(inputs: TextInputs, { offsets }: EncodedTexts, maxLength: number): void {
    let [tokens, characters] = [0, 0];
    for (let i = 0; i < inputs.texts.length; i++) {
      const count = offsets[i + 1]! - offsets[i]!;
      if (count >= maxLength) continue;
      tokens += Math.max(0, count - this.#special);
      characters += charactersOf(inputs, i);
    }
    const kept = KEPT ** (characters / CHARACTERS);
    this.#tokens = kept * this.#tokens + tokens;
    this.#characters = kept * this.#characters + characters;
  }
}

function charactersOf({ texts, pairs }: TextInputs, i: number): number {
  return texts[i]!.length + (pairs === undefined ? 0 : pairs[i]!.length);
}

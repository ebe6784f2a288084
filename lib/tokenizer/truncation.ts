import type { Ids } from './piece.js';

/** The ids of a text as they come, and how far Hugging Face's tokenizers would have read it. */
export class Reading {
  readonly ids: number[] = [];
  /** How many ids each word has, from the first on; −1 for an added token. Only for what is cut at its start. */
  private readonly words: number[] = [];
  /** How many ids there were when the word started whose first ids were the last to come. */
  private wordStart: number | undefined;
  /** How many of the ids, from the first on, the library reads. */
  private read: number | undefined;

  /**
   * @param most how many tokens the library wants to see before it stops
   * @param fromEnd whether it reads from the end, as for a text that is cut at its start
   */
  constructor(
    private readonly most: number,
    private readonly fromEnd: boolean,
  ) {}

  /** Takes what comes next of the text. */
  add(part: Ids): void {
    if (part === undefined) return;
    const before = this.ids.length;
    if (typeof part === 'number') {
      this.ids.push(part);
      if (this.fromEnd) this.words.push(-1);
      return;
    }
    if ('unfinished' in part) {
      this.wordStart ??= before;
      for (const id of part.unfinished) this.ids.push(id);
      return;
    }
    for (const id of part) this.ids.push(id);
    if (this.fromEnd) this.words.push(this.ids.length - (this.wordStart ?? before));
    // It looks whether it has enough when it has read a word, not when it meets an added token.
    else if (this.ids.length >= this.most) this.read ??= this.ids.length;
    this.wordStart = undefined;
  }

  /** Whether there are more ids than can be kept, so that the rest of the text does not matter. */
  get isEnough(): boolean {
    return !this.fromEnd && this.ids.length > this.most;
  }

  /** As `isEnough`, and it is known how far the library reads. */
  get isKnown(): boolean {
    return this.isEnough && this.read !== undefined;
  }

  /** How many tokens the library reads of the text: up to the word that makes them enough. */
  get reach(): number {
    if (!this.fromEnd) return this.read ?? this.ids.length;
    let read = 0;
    for (let i = this.words.length - 1; i >= 0; i--) {
      read += Math.abs(this.words[i]!);
      if (this.words[i]! >= 0 && read >= this.most) break;
    }
    return read;
  }

  /** The ids that stay where so many may. */
  kept(count: number): number[] {
    return this.fromEnd ? this.ids.slice(Math.max(0, this.ids.length - count)) : this.ids.slice(0, count);
  }
}

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

import type { Truncation } from '../options/long-texts.js';
import { invalidOption } from '../options/validation.js';
import type { Ids } from './piece.js';

/** How long a text may be, and what happens to a longer one. */
export interface TextLimit {
  /** Most tokens, including special ones; at least as many as those. */
  maxLength: number;
  /** What is kept of a longer text. Defaults to its start, or its end if tokenizer_config.json says so. */
  truncation?: Truncation | undefined;
  /**
   * Splits a longer text into windows instead of truncating it: each has `maxLength` tokens, except the last, and shares this
   * many with the window before, at most half of its tokens of the text. Defaults to none.
   */
  stride?: number | undefined;
}

/**
 * Where windows of a text begin and end, as Hugging Face's tokenizers make them with `return_overflowing_tokens`.
 *
 * @param length tokens of the text
 * @param limit tokens of a window, special ones not counted
 * @param stride tokens that a window shares with the next
 * @param fromEnd whether they are counted from the text's end, so that its first window is the short one, and comes last
 * @throws BertuneError INVALID_OPTION
 */
export function windowsOf(length: number, limit: number, stride: number, fromEnd: boolean): [number, number][] {
  if (limit < 1) throw invalidOption('maxLength', 'room for a token of the text beside the special ones', limit);
  const most = Math.floor(limit / 2);
  if (!Number.isSafeInteger(stride) || stride < 0 || stride > most) {
    throw invalidOption('stride', `an integer from 0 to ${most}, half of the text in a window,`, stride);
  }
  const windows: [number, number][] = [];
  for (let start = 0; ; start += limit - stride) {
    const end = Math.min(length, start + limit);
    windows.push(fromEnd ? [length - end, length - start] : [start, end]);
    if (end === length) return windows;
  }
}

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

  /**
   * The ids that stay where so many may.
   *
   * @param share of them from the start. Defaults to those of the side that is read
   */
  kept(count: number, share = this.fromEnd ? 0 : 1): number[] {
    const { ids } = this;
    if (ids.length <= count) return ids.slice();
    const start = Math.round(share * count);
    return [...ids.slice(0, start), ...ids.slice(ids.length - (count - start))];
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

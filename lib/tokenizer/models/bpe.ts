import { ComponentError } from '../component.js';
import { STEP, type Steps } from '../steps.js';
import { flagSetting, type Model, type ModelSettings, textSetting, Vocabulary, WordCache } from './model.js';

/** Ids and ranks are put together in one number. */
const MOST = 2 ** 26;

/** Byte pair encoding (Sennrich et al., 2016): the characters of a word, merged pair by pair in the order of the merges. */
export class Bpe implements Model {
  readonly size: number;
  readonly idLimit: number;
  private readonly vocabulary: Vocabulary;
  private readonly unknownToken: string | undefined;
  private readonly prefix: string;
  private readonly suffix: string;
  private readonly fusesUnknown: boolean;
  private readonly fallsBack: boolean;
  private readonly ignoresMerges: boolean;
  /** From a pair of ids, first · MOST + second, to its rank. */
  private readonly ranks = new Map<number, number>();
  /** What the pair of each rank becomes. */
  private readonly merged: number[] = [];
  private readonly cache = new WordCache();

  constructor(model: ModelSettings) {
    this.vocabulary = new Vocabulary('BPE', model.vocab);
    this.size = this.vocabulary.ids.size;
    this.idLimit = this.vocabulary.idLimit;
    if (this.idLimit > MOST) throw new ComponentError('model BPE', `ids must be below ${MOST}`);
    if ((model.dropout ?? 0) !== 0) {
      throw new ComponentError('model BPE', 'dropout makes ids random; set it to null');
    }
    this.unknownToken = textSetting('BPE', model, 'unk_token');
    this.prefix = textSetting('BPE', model, 'continuing_subword_prefix') ?? '';
    this.suffix = textSetting('BPE', model, 'end_of_word_suffix') ?? '';
    this.fusesUnknown = flagSetting('BPE', model, 'fuse_unk');
    this.fallsBack = flagSetting('BPE', model, 'byte_fallback');
    this.ignoresMerges = flagSetting('BPE', model, 'ignore_merges');
    this.readMerges(model.merges);
  }

  idOf(token: string): number | undefined {
    return this.vocabulary.ids.get(token);
  }

  *encode(word: string): Steps<readonly number[]> {
    const whole = this.ignoresMerges ? this.idOf(word) : undefined;
    if (whole !== undefined) return [whole];
    const known = this.cache.get(word);
    if (known !== undefined) return known;
    const ids = yield* this.merge(yield* this.characters(word));
    this.cache.set(word, ids);
    return ids;
  }

  private readMerges(merges: unknown): void {
    if (!Array.isArray(merges)) throw new ComponentError('model BPE', 'merges must be an array');
    if (merges.length > MOST) throw new ComponentError('model BPE', `use at most ${MOST} merges`);
    const lines: unknown[] = merges.every((merge) => typeof merge === 'string')
      ? merges.filter((line) => !line.startsWith('#version'))
      : merges;
    lines.forEach((line, rank) => {
      const [first, second, ...more] = typeof line === 'string' ? line.split(' ') : Array.isArray(line) ? line : [];
      if (typeof first !== 'string' || typeof second !== 'string' || more.length > 0) {
        throw new ComponentError('model BPE', `merge ${rank + 1} must be a pair of tokens`);
      }
      const pair = this.idOfPart(first) * MOST + this.idOfPart(second);
      this.merged[rank] = this.idOfPart(first + this.withoutPrefix(second));
      this.ranks.set(pair, rank);
    });
  }

  private idOfPart(token: string): number {
    const id = this.idOf(token);
    if (id !== undefined) return id;
    throw new ComponentError(
      'model BPE',
      `the vocabulary lacks ${JSON.stringify(token).slice(0, 100)}, which a merge needs`,
    );
  }

  /** The library takes off as many bytes as the prefix has, whatever they are. */
  private withoutPrefix(token: string): string {
    return token.startsWith(this.prefix)
      ? token.slice(this.prefix.length)
      : Buffer.from(token).subarray(Buffer.byteLength(this.prefix)).toString();
  }

  /** The ids of a word's characters. Those without one become bytes, the unknown token, or nothing. */
  private *characters(word: string): Steps<number[]> {
    const ids: number[] = [];
    let unknown: number | undefined;
    let steps = 0;
    for (let at = 0; at < word.length; ) {
      const start = at;
      const character = String.fromCodePoint(word.codePointAt(at)!);
      at += character.length;
      const token = (start === 0 ? '' : this.prefix) + character + (at === word.length ? this.suffix : '');
      const id = this.idOf(token);
      const bytes = id === undefined && this.fallsBack ? this.bytes(token) : undefined;
      if (id !== undefined) {
        if (unknown !== undefined) ids.push(unknown);
        unknown = undefined;
        ids.push(id);
      } else if (bytes !== undefined) {
        // What is unknown in front of them comes behind them in the library as well.
        ids.push(...bytes);
      } else if (this.unknownToken !== undefined) {
        if (unknown !== undefined && !this.fusesUnknown) ids.push(unknown);
        unknown = this.vocabulary.unknown(this.unknownToken);
      }
      if (++steps % STEP === 0) yield;
    }
    if (unknown !== undefined) ids.push(unknown);
    return ids;
  }

  private bytes(token: string): number[] | undefined {
    const ids = Array.from(Buffer.from(token), (byte) => this.idOf(byteToken(byte)));
    return ids.includes(undefined) ? undefined : (ids as number[]);
  }

  /** Merges pairs of symbols: the one of the lowest rank first, of several the leftmost. A heap and a linked list. */
  private *merge(symbols: number[]): Steps<number[]> {
    const { length } = symbols;
    if (length < 2) return symbols;
    const next = new Int32Array(length);
    const previous = new Int32Array(length);
    const isGone = new Uint8Array(length);
    const heap = new Heap(2 * length);
    const offer = (at: number) => {
      const rank = this.ranks.get(symbols[at]! * MOST + symbols[next[at]!]!);
      if (rank !== undefined) heap.push(rank * MOST + at);
    };
    for (let at = 0; at < length; at++) {
      previous[at] = at - 1;
      next[at] = at + 1 < length ? at + 1 : -1;
      if (at + 1 < length) offer(at);
      if (at % STEP === STEP - 1) yield;
    }
    for (let steps = 1; heap.size > 0; steps++) {
      const top = heap.pop();
      if (steps % STEP === 0) yield;
      const at = top % MOST;
      const right = next[at]!;
      if (isGone[at] === 1 || right < 0) continue;
      // A pair that one of the two has left since: what stands there now may become something else.
      const rank = this.ranks.get(symbols[at]! * MOST + symbols[right]!);
      const becomes = this.merged[(top - at) / MOST]!;
      if (rank === undefined || this.merged[rank] !== becomes) continue;
      symbols[at] = becomes;
      isGone[right] = 1;
      next[at] = next[right]!;
      if (next[at]! >= 0) {
        previous[next[at]!] = at;
        offer(at);
      }
      if (previous[at]! >= 0) offer(previous[at]!);
    }
    const left: number[] = [];
    for (let at = 0, steps = 1; at >= 0; at = next[at]!, steps++) {
      left.push(symbols[at]!);
      if (steps % STEP === 0) yield;
    }
    return left;
  }
}

/** How tokens for single bytes are written. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

/** Numbers, the least of which can be taken out. */
class Heap {
  size = 0;
  private readonly items: Float64Array;

  /** @param most how many it may hold at once */
  constructor(most: number) {
    this.items = new Float64Array(most);
  }

  push(item: number): void {
    const { items } = this;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number {
    const { items } = this;
    const top = items[0]!;
    const item = items[--this.size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= item) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = item;
    return top;
  }
}

import { ComponentError } from '../component.js';
import { STEP, type Steps } from '../steps.js';
import { Trie } from '../trie.js';
import { byteToken } from './bpe.js';
import { flagSetting, type Model, type ModelSettings, WordCache } from './model.js';

/** How much less an unknown character is worth than the worst piece. */
const UNKNOWN_PENALTY = 10;

/** SentencePiece's unigram model (Kudo, 2018): the pieces of a word whose scores have the largest sum. */
export class Unigram implements Model {
  readonly size: number;
  readonly idLimit: number;
  private readonly ids: ReadonlyMap<string, number>;
  private readonly scores: Float64Array;
  private readonly trie: Trie;
  private readonly unknown: number | undefined;
  private readonly unknownScore: number;
  private readonly fallsBack: boolean;
  private readonly cache = new WordCache();

  constructor(model: ModelSettings) {
    const pieces = readPieces(model.vocab);
    this.size = pieces.length;
    this.idLimit = pieces.length;
    this.ids = new Map(pieces.map(([piece], id) => [piece, id]));
    this.scores = Float64Array.from(pieces, ([, score]) => asRead(score));
    this.unknownScore = this.scores.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
    this.trie = new Trie(this.ids);
    this.unknown = readUnknown(model.unk_id, pieces.length);
    this.fallsBack = flagSetting('Unigram', model, 'byte_fallback');
  }

  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }

  *encode(word: string): Steps<readonly number[]> {
    const known = this.cache.get(word);
    if (known !== undefined) return known;
    const { from, piece } = yield* this.bestWays(word);
    const ids: number[] = [];
    let steps = 0;
    // From the end back: ids are turned round in the end. Unknown pieces in a row are one.
    for (let end = word.length; end > 0; ) {
      let start = from[end]!;
      if (piece[end] === this.unknown) {
        while (start > 0 && piece[start] === this.unknown) {
          start = from[start]!;
          if (++steps % STEP === 0) yield;
        }
        this.appendUnknown(ids, word.slice(start, end));
      } else ids.push(piece[end]!);
      end = start;
      if (++steps % STEP === 0) yield;
    }
    ids.reverse();
    this.cache.set(word, ids);
    return ids;
  }

  /** Viterbi: of each place the piece that the best way to it ends with, and where that starts. */
  private *bestWays(word: string): Steps<{ from: Int32Array; piece: Int32Array }> {
    const best = new Float64Array(word.length + 1);
    const from = new Int32Array(word.length + 1).fill(-1);
    const piece = new Int32Array(word.length + 1);
    const offer = (end: number, start: number, score: number, id: number) => {
      if (from[end]! >= 0 && score <= best[end]!) return;
      best[end] = score;
      from[end] = start;
      piece[end] = id;
    };
    let steps = 0;
    for (let start = 0; start < word.length; ) {
      const length = word.codePointAt(start)! > 0xffff ? 2 : 1;
      const score = best[start]!;
      let isKnown = false;
      let node = 0;
      for (let at = start; at < word.length; at++) {
        if (++steps % STEP === 0) yield;
        node = this.trie.step(node, word.charCodeAt(at));
        if (node < 0) break;
        const id = this.trie.value(node);
        if (id < 0) continue;
        offer(at + 1, start, this.scores[id]! + score, id);
        if (at + 1 === start + length) isKnown = true;
      }
      if (!isKnown) offer(start + length, start, this.unknownScore + score, this.unknownId());
      start += length;
    }
    return { from, piece };
  }

  /** Appends, from the last on, the ids of what is unknown: a piece after all, its bytes, or the unknown one. */
  private appendUnknown(ids: number[], text: string): void {
    const id = this.ids.get(text);
    const bytes = id === undefined && this.fallsBack ? this.bytes(text) : undefined;
    if (bytes === undefined) ids.push(id ?? this.unknownId());
    else for (const byte of bytes.reverse()) ids.push(byte);
  }

  private bytes(text: string): number[] | undefined {
    const ids = Array.from(Buffer.from(text), (byte) => this.ids.get(byteToken(byte)));
    return ids.includes(undefined) ? undefined : (ids as number[]);
  }

  private unknownId(): number {
    if (this.unknown !== undefined) return this.unknown;
    throw new ComponentError(
      'model Unigram',
      'the text has a character without a piece, and there is no unk_id; add one',
    );
  }
}

/**
 * A score as the library reads it: its digits as a whole number, divided by a power of ten. That may be off by the last
 * bit, and decides between ways to split a word that are equally good but for the order of the sums.
 */
function asRead(score: number): number {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(score)) ?? [];
  if (whole === undefined) return score;
  const power = Number(exponent) - fraction.length;
  const digits = Number(BigInt(whole + fraction));
  const size = power >= 0 ? digits * Number(`1e${power}`) : digits / Number(`1e${-power}`);
  return sign === '-' ? -size : size;
}

function readPieces(vocab: unknown): [piece: string, score: number][] {
  const isPiece = (entry: unknown) =>
    Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && typeof entry[1] === 'number';
  if (Array.isArray(vocab) && vocab.every(isPiece)) return vocab as [string, number][];
  throw new ComponentError('model Unigram', 'vocab must be an array of pieces, each with its score');
}

function readUnknown(id: unknown, size: number): number | undefined {
  if (id === null || id === undefined) return undefined;
  if (Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < size) return id as number;
  throw new ComponentError('model Unigram', `unk_id must be the place of a piece in vocab, below ${size}`);
}

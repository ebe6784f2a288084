import type { Settings } from './component.js';
import { checkGrowth, type Normalizer } from './piece.js';
import { STEP } from './steps.js';
import { cutBefore } from './unicode.js';

/** Far above any map. */
const MOST_BYTES = 2 ** 24;

/** Characters longer than this in UTF-8 are looked up one code point at a time. */
const LONGEST_CLUSTER = 6;

/**
 * SentencePiece's map of characters, e.g. nmt_nfkc: a double array of prefixes (Darts), and what each becomes.
 *
 * As in the library, what is looked up is each grapheme cluster of less than six bytes, then each of its code points,
 * and of several prefixes in the map the shortest counts for the whole of it.
 */
export function precompiled(settings: Settings): Normalizer {
  const map = new CharactersMap(settings);
  const clusters = new Intl.Segmenter('und', { granularity: 'grapheme' });

  /** What a cluster becomes: parts of it, each with the number of code points it had and what it is now. */
  const convert = (cluster: string): { from: number; to: string }[] => {
    if (Buffer.byteLength(cluster) < LONGEST_CLUSTER) {
      const to = map.get(cluster);
      if (to !== undefined) return [{ from: [...cluster].length, to }];
    }
    return Array.from(cluster, (character) => ({ from: 1, to: map.get(character) ?? character }));
  };

  return function* (piece) {
    const { text, limit } = piece;
    // Joined window by window: to join millions of characters at once takes too long.
    const windows: string[] = [];
    let length = 0;
    const leading = new Leading(piece.leading > 0 ? [...text.slice(0, piece.leading)].length : 0);
    for (let at = 0; at < text.length; ) {
      const next = at + STEP >= text.length ? text.length : cutBefore(text, at, at + STEP);
      const output: string[] = [];
      for (const { segment } of clusters.segment(text.slice(at, next))) {
        for (const { from, to } of convert(segment)) {
          output.push(to);
          length += to.length;
          leading.add(from, to);
        }
      }
      windows.push(output.join(''));
      checkGrowth('Precompiled', length, limit);
      at = next;
      yield;
    }
    piece.text = windows.join('');
    piece.leading = leading.finish();
  };
}

/** Follows the alignment of the library's NormalizedString while characters are replaced, as far as its first ones go. */
class Leading {
  /** Units of the result, but for the last character, that stand for the first character given. */
  private units = 0;
  /** Code points of the text that the result has passed by. */
  private passed = 0;
  /** The last character of the result: 1 where it was added, else 0 or less by the characters it takes along. */
  private last: { text: string; change: number } | undefined;

  /** @param count how many code points of the text stand for the first character given */
  constructor(private readonly count: number) {}

  add(from: number, to: string): void {
    if (this.count === 0) return;
    const characters = [...to];
    characters.forEach((text, i) => {
      this.finish();
      this.last = { text, change: i < from ? 0 : 1 };
    });
    if (characters.length < from && this.last !== undefined) this.last.change += characters.length - from;
  }

  /** Units of the result that stand for the first character given. */
  finish(): number {
    if (this.last !== undefined) {
      const { text, change } = this.last;
      if (this.passed - (change > 0 ? 1 : 0) < this.count) this.units += text.length;
      if (change <= 0) this.passed += 1 - change;
      this.last = undefined;
    }
    return this.units;
  }
}

/** The map itself: `precompiled_charsmap` in base64: the size of the double array, the array, and the results. */
class CharactersMap {
  private readonly units: Uint32Array;
  private readonly results: Buffer;
  private readonly seen = new Map<string, string | undefined>();

  constructor(settings: Settings) {
    const bytes = Buffer.from(settings.string('precompiled_charsmap'), 'base64');
    const size = bytes.length < 4 ? -1 : bytes.readUInt32LE(0);
    if (size < 4 || size % 4 !== 0 || 4 + size > bytes.length || bytes.length > MOST_BYTES) {
      throw settings.error('precompiled_charsmap is broken; take it from the original tokenizer.json');
    }
    this.units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
    this.results = bytes.subarray(4 + size);
  }

  /** What a text becomes, or undefined where it stays. */
  get(text: string): string | undefined {
    if (!this.seen.has(text)) {
      if (this.seen.size > 65_536) this.seen.clear();
      this.seen.set(text, this.lookUp(text));
    }
    return this.seen.get(text);
  }

  private lookUp(text: string): string | undefined {
    let node = 0;
    let unit = this.units[0]!;
    node ^= offset(unit);
    for (const byte of Buffer.from(text)) {
      if (byte === 0) return undefined;
      node ^= byte;
      unit = this.units[node] ?? 0;
      if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
      node ^= offset(unit);
      if (((unit >>> 8) & 1) === 1) return this.result((this.units[node] ?? 0) & 0x7fffffff);
    }
    return undefined;
  }

  private result(start: number): string {
    const end = this.results.indexOf(0, start);
    return this.results.toString('utf8', start, end < 0 ? this.results.length : end);
  }
}

/** How far a unit of the double array points. */
function offset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

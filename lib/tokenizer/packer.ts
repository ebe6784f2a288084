import { BertuneError } from '../errors.js';
import { type Template, textPart } from './template.js';

/** Token ids of several texts, packed end to end. */
export interface EncodedTexts {
  /** The ids of all texts, one after the other (T). */
  ids: Int32Array;
  /** Where each text starts in `ids` (N+1): text i is `ids[offsets[i]]` up to `ids[offsets[i + 1]]`. */
  offsets: Int32Array;
  /** Segment of each token (T). Absent where all are 0, as they are for single texts in BERT's template. */
  typeIds?: Int32Array;
  /** How many texts were longer than allowed and were cut. */
  truncated: number;
}

const MOST_TOKENS = 2 ** 31 - 1;

/** Packs the ids of texts end to end, each in its template, into an array that grows by doubling. */
export class Packer {
  private ids = new Int32Array(1024);
  private length = 0;
  private texts = 0;
  private truncated = 0;
  private readonly offsets: Int32Array;

  constructor(
    private readonly template: Template,
    texts: number,
  ) {
    this.offsets = new Int32Array(texts + 1);
  }

  /** Appends the first `limit` of a text's ids, inside the template. */
  add(ids: readonly number[], limit: number): void {
    const { before, after } = this.template;
    const kept = textPart(this.template, ids, limit);
    if (ids.length > limit) this.truncated++;
    this.grow(this.length + before.length + kept.length + after.length);
    for (const part of [before, kept, after]) {
      this.ids.set(part, this.length);
      this.length += part.length;
    }
    this.texts++;
    this.offsets[this.texts] = this.length;
  }

  finish(): EncodedTexts {
    const typeIds = this.typeIds();
    const encoded = { ids: this.ids.slice(0, this.length), offsets: this.offsets, truncated: this.truncated };
    return typeIds === undefined ? encoded : { ...encoded, typeIds };
  }

  private grow(needed: number): void {
    if (needed > MOST_TOKENS) {
      throw new BertuneError('INVALID_DATA', `Expected at most ${MOST_TOKENS} tokens but the texts have more`);
    }
    if (needed <= this.ids.length) return;
    const larger = new Int32Array(Math.min(MOST_TOKENS, Math.max(needed, 2 * this.ids.length)));
    larger.set(this.ids);
    this.ids = larger;
  }

  /** The segment of every token, where the template has any but 0. */
  private typeIds(): Int32Array | undefined {
    const { before, text, after } = this.template.types;
    if (text === 0 && [...before, ...after].every((type) => type === 0)) return undefined;
    const types = new Int32Array(this.length).fill(text);
    for (let i = 0; i < this.texts; i++) {
      types.set(before, this.offsets[i]!);
      types.set(after, this.offsets[i + 1]! - after.length);
    }
    return types;
  }
}

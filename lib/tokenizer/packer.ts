import { BertuneError } from '../errors.js';

/** Token ids of several texts, or pairs of texts, packed end to end. */
export interface EncodedTexts {
  /** The ids of all texts, one after the other (T). */
  ids: Int32Array;
  /**
   * Where each text starts in `ids` (N+1): text i is `ids[offsets[i]]` up to `ids[offsets[i + 1]]`. With windows, where each
   * window starts.
   */
  offsets: Int32Array;
  /** The windows of each text (N+1): text i has those from `windows[i]` up to `windows[i + 1]`. Absent if no text has several. */
  windows?: Int32Array | undefined;
  /** Segment of each token (T). Absent if all are 0, as for single texts in BERT's template. */
  typeIds?: Int32Array | undefined;
  /** Position of each token (T), −1 for padding. Absent if each token's is its place in the text. */
  positions?: Int32Array;
  /** How many texts, or pairs, were too long and were truncated. */
  truncated: number;
}

/** A part of a sequence: ids, and the segment of each or of all. */
export interface Part {
  readonly ids: readonly number[];
  readonly types: number | readonly number[];
}

const MOST_TOKENS = 2 ** 31 - 1;

/** Packs sequences end to end, into arrays that grow by doubling. */
export class Packer {
  private ids = new Int32Array(1024);
  /** Made when a segment other than 0 comes. */
  private types: Int32Array | undefined;
  private length = 0;
  private sequences = 0;
  private texts = 0;
  private truncated = 0;
  private offsets: Int32Array;
  private readonly windows: Int32Array;

  constructor(texts: number) {
    this.offsets = new Int32Array(texts + 1);
    this.windows = new Int32Array(texts + 1);
  }

  /**
   * Ends a text, whose sequences were added.
   *
   * @param isCut whether something of it was left out
   */
  endText(isCut: boolean): void {
    if (isCut) this.truncated++;
    this.texts++;
    this.windows[this.texts] = this.sequences;
  }

  /**
   * Appends a sequence.
   *
   * @param parts what it is made of, in order
   */
  add(parts: readonly Part[]): void {
    this.grow(this.length + parts.reduce((sum, { ids }) => sum + ids.length, 0));
    for (const { ids, types } of parts) {
      this.ids.set(ids, this.length);
      this.setTypes(types, ids.length);
      this.length += ids.length;
    }
    this.sequences++;
    if (this.sequences === this.offsets.length) this.offsets = enlarge(this.offsets, 2 * this.offsets.length);
    this.offsets[this.sequences] = this.length;
  }

  finish(): EncodedTexts {
    return {
      ids: this.ids.slice(0, this.length),
      offsets: this.offsets.slice(0, this.sequences + 1),
      ...(this.sequences > this.texts && { windows: this.windows }),
      truncated: this.truncated,
      ...(this.types && { typeIds: this.types.slice(0, this.length) }),
    };
  }

  private setTypes(types: Part['types'], count: number): void {
    if (count === 0) return;
    if (typeof types === 'number') {
      if (types !== 0) this.typed().fill(types, this.length, this.length + count);
    } else if (types.some((type) => type !== 0)) this.typed().set(types, this.length);
  }

  private typed(): Int32Array {
    this.types ??= new Int32Array(this.ids.length);
    return this.types;
  }

  private grow(needed: number): void {
    if (needed > MOST_TOKENS) {
      throw new BertuneError('INVALID_DATA', `Expected at most ${MOST_TOKENS} tokens but the texts have more`);
    }
    if (needed <= this.ids.length) return;
    const size = Math.min(MOST_TOKENS, Math.max(needed, 2 * this.ids.length));
    this.ids = enlarge(this.ids, size);
    if (this.types !== undefined) this.types = enlarge(this.types, size);
  }
}

function enlarge(values: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(size);
  larger.set(values);
  return larger;
}

import { BertuneError } from '../../errors.js';
import type { NamedAdapter } from '../../model/adapters.js';
import type { Values } from '../../model/session.js';
import { ofWindows } from '../../model/windows.js';
import type { EncodedTexts } from '../../tokenizer/index.js';

/** How a call ends early: taken out of the queue, its promise rejected. */
export interface CallEnd {
  signal: AbortSignal | undefined;
  /** Milliseconds; undefined: none. */
  timeout: number | undefined;
  /** Called once when the call is settled, however. */
  onSettled: (call: Call) => void;
}

/** A text of a call, as a batch takes it. */
export interface BatchText {
  /** Which of the call's. */
  index: number;
  /** (T) */
  ids: Int32Array;
  /** Segment of each token (T); undefined: all 0. */
  typeIds: Int32Array | undefined;
  /** Position of each token (T); undefined: their places. */
  positions: Int32Array | undefined;
}

/**
 * A `predict` under way: its texts, which of them are in no batch yet, and the logits so far. Once it is tokenized, each window of a long
 * text counts as one.
 */
export class Call {
  /** When it was made, by performance.now(). */
  readonly since = performance.now();
  /** The logits of each text (count), once every batch with a text of it has ended. */
  readonly rows: Promise<readonly Values[]>;
  /** Tokens of its texts as long as they are not counted. */
  readonly #expectedTokens: number;
  #settle!: { resolve(rows: readonly Values[]): void; reject(error: unknown): void };
  #settled = false;
  #encoded: EncodedTexts | undefined;
  #count: number;
  #adapters: readonly (NamedAdapter | null)[] | null;
  #windows: Int32Array | undefined;
  #taken = 0;
  /** Texts as they were given, and those of which nothing waits any more. */
  readonly #texts: number;
  #takenTexts = 0;
  #done = 0;
  readonly #rows: Values[];
  readonly #end: CallEnd;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = () =>
    this.reject(
      new BertuneError('ABORTED', 'The work was stopped by its AbortSignal', { cause: this.#end.signal?.reason }),
    );

  constructor(count: number, expectedTokens: number, adapters: Call['adapters'], end: CallEnd) {
    this.#count = count;
    this.#texts = count;
    this.#expectedTokens = expectedTokens;
    this.#adapters = adapters;
    this.#rows = new Array(count);
    this.#end = end;
    this.rows = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    end.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (end.timeout !== undefined) this.#timer = setTimeout(() => this.reject(timedOut(end.timeout)), end.timeout);
  }

  /** How many texts it has. */
  get count(): number {
    return this.#count;
  }

  /** Each text's adapter, held (count); null: the model as it was loaded, for all of them. */
  get adapters(): readonly (NamedAdapter | null)[] | null {
    return this.#adapters;
  }

  /** Which windows are of which text that was given; undefined where each is one. */
  get windows(): Int32Array | undefined {
    return this.#windows;
  }

  /** Whether it has ended, so that nothing of it is to be computed any more. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Whether its tokens are counted, so that it can be put into batches. */
  get isTokenized(): boolean {
    return this.#encoded !== undefined;
  }

  /** Texts that are in no batch yet. */
  get waiting(): number {
    return this.count - this.#taken;
  }

  /** Texts, as they were given, that are not wholly in batches yet. */
  get waitingTexts(): number {
    return this.#texts - this.#takenTexts;
  }

  /** Tokens of the texts that are in no batch yet; expected ones while they are being tokenized. */
  get waitingTokens(): number {
    if (this.#encoded === undefined) return this.#expectedTokens;
    const { offsets } = this.#encoded;
    return offsets[this.count]! - offsets[this.#taken]!;
  }

  /** Tokens of its texts that are in no batch yet, on the average; an integer. */
  get turnTokens(): number {
    return this.waiting === 0 ? 0 : Math.ceil(this.waitingTokens / this.waiting);
  }

  /** Milliseconds that it may take from `since`; undefined: any number. */
  get timeout(): number | undefined {
    return this.#end.timeout;
  }

  /** The token ids; with them it can be put into batches. */
  set encoded(encoded: EncodedTexts) {
    const { offsets, windows } = encoded;
    this.#encoded = encoded;
    this.#windows = windows;
    this.#count = offsets.length - 1;
    this.#adapters &&= ofWindows(this.#adapters, windows);
  }

  /** Tokens of the text that comes next. */
  get nextTokens(): number {
    const { offsets } = this.#encoded!;
    return offsets[this.#taken + 1]! - offsets[this.#taken]!;
  }

  /** Takes the next text for a batch. */
  take(): BatchText {
    const { ids, offsets, typeIds, positions } = this.#encoded!;
    const index = this.#taken++;
    if (this.#windows === undefined || this.#windows[this.#takenTexts + 1] === this.#taken) this.#takenTexts++;
    const [start, end] = [offsets[index]!, offsets[index + 1]!];
    return {
      index,
      ids: ids.subarray(start, end),
      typeIds: typeIds?.subarray(start, end),
      positions: positions?.subarray(start, end),
    };
  }

  /** Hands over the logits of a text. The last one resolves the call. */
  fill(index: number, row: Values): void {
    if (this.#settled) return;
    this.#rows[index] = row;
    this.#done += 1;
    if (this.#done === this.count) this.#finish(() => this.#settle.resolve(this.#rows));
  }

  /** Ends it with an error. Does nothing where it has ended. */
  reject(error: unknown): void {
    this.#finish(() => this.#settle.reject(error));
  }

  #finish(settle: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#end.signal?.removeEventListener('abort', this.#onAbort);
    settle();
    this.#end.onSettled(this);
    this.#encoded = undefined;
  }
}

function timedOut(timeout: number | undefined): BertuneError {
  return new BertuneError('TIMED_OUT', `Expected a prediction within ${timeout} ms but it took longer`);
}

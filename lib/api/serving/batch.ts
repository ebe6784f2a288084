import type { NamedAdapter } from '../../model/adapters.js';
import type { Values } from '../../model/session.js';
import type { EncodedTexts } from '../../tokenizer/index.js';
import type { Call } from './call.js';

/** Texts a batch at most, however short. */
const MAX_TEXTS = 512;

/** Texts of several calls that are computed together. */
export class Batch {
  readonly #parts: { call: Call; index: number; ids: Int32Array; typeIds: Int32Array | undefined }[] = [];
  readonly #calls = new Set<Call>();
  #tokens = 0;

  /** Whether the next text of a call may still come in. The first one always may. */
  takes(call: Call, maxTokens: number): boolean {
    if (this.texts === 0) return true;
    return this.texts < MAX_TEXTS && this.#tokens + call.nextTokens <= maxTokens;
  }

  /** Takes the next text of a call. */
  add(call: Call): void {
    const part = call.take();
    this.#parts.push({ call, ...part });
    this.#calls.add(call);
    this.#tokens += part.ids.length;
  }

  get texts(): number {
    return this.#parts.length;
  }

  get tokens(): number {
    return this.#tokens;
  }

  get calls(): ReadonlySet<Call> {
    return this.#calls;
  }

  /** The adapter of each text, in the order of `encode`; null where none has one. */
  get adapters(): (NamedAdapter | null)[] | null {
    if (this.#parts.every(({ call }) => call.adapters === null)) return null;
    return this.#parts.map(({ call, index }) => call.adapters?.[index] ?? null);
  }

  /** Seconds that its texts have waited until `now`, summed. */
  waitSeconds(now: number): number {
    return this.#parts.reduce((sum, { call }) => sum + (now - call.since) / 1000, 0);
  }

  /** Its texts, packed. */
  encode(): EncodedTexts {
    const ids = new Int32Array(this.#tokens);
    const offsets = new Int32Array(this.texts + 1);
    const typed = this.#parts.some(({ typeIds }) => typeIds !== undefined);
    const types = typed ? new Int32Array(this.#tokens) : undefined;
    this.#parts.forEach((part, i) => {
      const start = offsets[i]!;
      ids.set(part.ids, start);
      if (part.typeIds) types?.set(part.typeIds, start);
      offsets[i + 1] = start + part.ids.length;
    });
    return { ids, offsets, truncated: 0, ...(types && { typeIds: types }) };
  }

  /** Gives each text's logits to its call. */
  resolve(rowOf: (text: number) => Values): void {
    this.#parts.forEach(({ call, index }, i) => {
      call.fill(index, rowOf(i));
    });
  }

  /** Rejects every call that has a text in it. */
  reject(error: unknown): void {
    for (const call of this.#calls) call.reject(error);
  }
}

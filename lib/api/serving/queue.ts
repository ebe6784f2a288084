import type { NamedAdapter } from '../../model/adapters.js';
import type { Values } from '../../model/session.js';
import type { EncodedTexts } from '../../tokenizer/index.js';
import type { BatchText, Call } from './call.js';

/** Calls with texts that are in no batch yet. They take turns, text by text, so that a large call delays no small one. */
export class CallQueue {
  /** In the order of their turns. */
  readonly #calls = new Set<Call>();
  readonly #backlog = new Backlog();

  /** What they still want. */
  get demand(): Demand {
    return this.#backlog;
  }

  /** Puts a call at the end; its texts are tokenized. */
  add(call: Call): void {
    this.#calls.add(call);
    this.#backlog.count(call);
  }

  /** Takes a call out. Does nothing where it is not in. */
  remove(call: Call): void {
    this.#calls.delete(call);
    this.#backlog.remove(call);
  }

  get isEmpty(): boolean {
    return this.#calls.size === 0;
  }

  /** Whether there are enough texts for a full batch. */
  fills(maxTokens: number): boolean {
    let tokens = 0;
    for (const call of this.#calls) {
      tokens += call.waiting * call.nextTokens;
      if (tokens >= maxTokens) return true;
    }
    return false;
  }

  /** Takes the texts of the next batch: one of each call in turn, as long as they fit. */
  nextBatch(maxTokens: number): Batch {
    const batch = new Batch();
    // A call that goes back to the end of a set is met again in the same loop.
    for (const call of this.#calls) {
      if (!batch.takes(call, maxTokens)) break;
      batch.add(call);
      this.#calls.delete(call);
      if (call.waiting > 0) this.#calls.add(call);
    }
    for (const call of batch.calls) this.#backlog.count(call);
    return batch;
  }
}

/** Texts a batch at most, however short. */
const MAX_TEXTS = 512;

/** Texts of several calls that are computed together. */
export class Batch {
  readonly #parts: (BatchText & { call: Call })[] = [];
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
    const has = (key: 'typeIds' | 'positions') => this.#parts.some((part) => part[key] !== undefined);
    const typeIds = has('typeIds') ? new Int32Array(this.#tokens) : undefined;
    const positions = has('positions') ? new Int32Array(this.#tokens) : undefined;
    this.#parts.forEach((part, i) => {
      const start = offsets[i]!;
      ids.set(part.ids, start);
      if (part.typeIds) typeIds?.set(part.typeIds, start);
      positions?.set(part.positions ?? part.ids.map((_, place) => place), start);
      offsets[i + 1] = start + part.ids.length;
    });
    return { ids, offsets, truncated: 0, ...(typeIds && { typeIds }), ...(positions && { positions }) };
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

/** What calls still want computed. */
export interface Demand {
  /** As they were given: one that is read in several windows counts once. */
  texts: number;
  tokens: number;
  /** Of one turn, in which each call has a text computed: the sum of their mean tokens per text. */
  turnTokens: number;
}

/** Adds up what calls still want. */
export class Backlog implements Demand {
  /** What each call was counted as. */
  readonly #shares = new Map<Call, Demand>();
  texts = 0;
  tokens = 0;
  turnTokens = 0;

  /** Counts a call as it is now. */
  count(call: Call): void {
    this.remove(call);
    const { waitingTexts, waitingTokens, turnTokens } = call;
    if (waitingTexts > 0) this.#add(call, { texts: waitingTexts, tokens: waitingTokens, turnTokens });
  }

  /** Does nothing where the call is not counted. */
  remove(call: Call): void {
    const share = this.#shares.get(call);
    if (!share) return;
    this.#shares.delete(call);
    this.texts -= share.texts;
    this.tokens -= share.tokens;
    this.turnTokens -= share.turnTokens;
  }

  #add(call: Call, share: Demand): void {
    this.#shares.set(call, share);
    this.texts += share.texts;
    this.tokens += share.tokens;
    this.turnTokens += share.turnTokens;
  }
}

/** Both together. */
export function sumOf(a: Demand, b: Demand): Demand {
  return { texts: a.texts + b.texts, tokens: a.tokens + b.tokens, turnTokens: a.turnTokens + b.turnTokens };
}

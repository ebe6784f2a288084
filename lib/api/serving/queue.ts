import { Backlog, type Demand } from './backlog.js';
import { Batch } from './batch.js';
import type { Call } from './call.js';

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

/*
 * How examples are grouped, and how many batches the addon gets in one call. A batch is packed, without padding: what it
 * costs is its tokens.
 */

/** Tokens per batch where nothing is trained: enough rows to keep every thread's matrix products efficient. */
export const DEFAULT_BATCH_TOKENS = 1024;

/** Sequences a batch at most where nothing is trained. */
const MAX_SEQUENCES = 512;

/** Consecutive batches over an order of examples. */
export interface BatchPlan {
  /** Where each batch starts in `order`, and the end of the last one. */
  starts: Int32Array;
  order: Int32Array;
  /** Most tokens and sequences of any of them. */
  tokens: number;
  sequences: number;
}

/** Example indices, the longest text first, equal ones in their own order. */
export function longestFirst(offsets: Int32Array): Int32Array {
  const lengthOf = (i: number) => offsets[i + 1]! - offsets[i]!;
  // A counting sort: lengths are small, and texts may be many.
  const places: number[] = [];
  for (let i = 0; i + 1 < offsets.length; i++) places[lengthOf(i)] = (places[lengthOf(i)] ?? 0) + 1;
  let before = 0;
  for (let length = places.length - 1; length >= 0; length--) {
    const count = places[length] ?? 0;
    places[length] = before;
    before += count;
  }
  const order = new Int32Array(Math.max(0, offsets.length - 1));
  for (let i = 0; i < order.length; i++) order[places[lengthOf(i)]!++] = i;
  return order;
}

/**
 * Example indices so that those of one key are neighbors, the longest text of each first.
 *
 * @param keys of each example (N); neighbors are in the order of their keys
 */
export function groupedLongestFirst(offsets: Int32Array, keys: Int32Array): Int32Array {
  const counts = new Map<number, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  const places = new Map<number, number>();
  let before = 0;
  for (const key of [...counts.keys()].sort((a, b) => a - b)) {
    places.set(key, before);
    before += counts.get(key)!;
  }
  const order = new Int32Array(keys.length);
  for (const example of longestFirst(offsets)) {
    const key = keys[example]!;
    const place = places.get(key)!;
    order[place] = example;
    places.set(key, place + 1);
  }
  return order;
}

/** The batches first, first + step, ... of a plan. */
export function everyNth({ starts, order, tokens, sequences }: BatchPlan, first: number, step: number): BatchPlan {
  const ownStarts: number[] = [0];
  const examples: number[] = [];
  for (let batch = first; batch + 1 < starts.length; batch += step) {
    examples.push(...order.subarray(starts[batch], starts[batch + 1]));
    ownStarts.push(examples.length);
  }
  return { starts: Int32Array.from(ownStarts), order: Int32Array.from(examples), tokens, sequences };
}

/**
 * Packs examples into batches in the given order: each takes what comes next as long as it fits.
 *
 * @param offsets where each example starts, (N + 1)
 * @param order example indices
 * @param limit tokens per batch; one longer example makes a batch of its own
 * @param groups of each example (N): no batch has examples of two. Defaults to one group.
 */
export function packBatches(offsets: Int32Array, order: Int32Array, limit: number, groups?: Int32Array): BatchPlan {
  const starts: number[] = [0];
  const most = { tokens: 0, sequences: 0 };
  let tokens = 0;
  order.forEach((example, i) => {
    const length = offsets[example + 1]! - offsets[example]!;
    const sequences = i - starts.at(-1)!;
    const apart = groups !== undefined && i > 0 && groups[example] !== groups[order[i - 1]!];
    if (sequences > 0 && (tokens + length > limit || sequences === MAX_SEQUENCES || apart)) {
      starts.push(i);
      tokens = 0;
    }
    tokens += length;
    most.tokens = Math.max(most.tokens, tokens);
    most.sequences = Math.max(most.sequences, i + 1 - starts.at(-1)!);
  });
  if (order.length > 0) starts.push(order.length);
  return { starts: Int32Array.from(starts), order, ...most };
}

/** The most tokens of any `together` consecutive batches of `batchSize` examples in `order`. */
export function mostTokens(offsets: Int32Array, order: Int32Array, batchSize: number, together = 1): number {
  const batches: number[] = [];
  let [most, tokens] = [0, 0];
  for (let start = 0; start < order.length; start += batchSize) {
    let own = 0;
    for (let i = start; i < Math.min(order.length, start + batchSize); i++) {
      own += offsets[order[i]! + 1]! - offsets[order[i]!]!;
    }
    batches.push(own);
    tokens += own - (batches[batches.length - 1 - together] ?? 0);
    most = Math.max(most, tokens);
  }
  return most;
}

/**
 * How much work to give the addon in one call: so much that the call itself costs nothing, so little that progress and
 * an AbortSignal are seen to several times a second.
 */
export class Pace {
  readonly #target: number;
  #secondsPerUnit = 0;
  #last = 0;

  /** @param target seconds of work a call */
  constructor(target: number) {
    this.#target = target;
  }

  /** Units for the next call, at least 1: one at first, and never more than four times the last. */
  next(): number {
    if (this.#last === 0) return 1;
    const fitting = this.#secondsPerUnit > 0 ? Math.floor(this.#target / this.#secondsPerUnit) : Infinity;
    return Math.max(1, Math.min(fitting, 4 * this.#last));
  }

  /** Notes how long a call took. */
  measured(units: number, seconds: number): void {
    const rate = seconds / units;
    this.#secondsPerUnit = this.#last === 0 ? rate : (this.#secondsPerUnit + rate) / 2;
    this.#last = units;
  }
}

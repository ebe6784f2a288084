import { setImmediate } from 'node:timers/promises';
import { BertuneError } from './errors.js';

/** How long work in JavaScript may hold the event loop before it lets other things run, in milliseconds. */
const SLICE_MS = 4;

/** @throws ABORTED, with the signal's reason as its cause, when `signal` has been aborted */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new BertuneError('ABORTED', 'The work was stopped by its AbortSignal', { cause: signal.reason });
  }
}

/**
 * Cuts long work in JavaScript into slices of time, between which the event loop runs.
 *
 *     const slice = new TimeSlice(signal);
 *     for (const item of items) {
 *       work(item);
 *       if (slice.isOver) await slice.next();
 *     }
 */
export class TimeSlice {
  private end = performance.now() + SLICE_MS;

  /**
   * @param signal stops the work at the end of a slice
   * @throws ABORTED when it has been aborted already
   */
  constructor(private readonly signal?: AbortSignal) {
    throwIfAborted(signal);
  }

  /** Whether the time is up. */
  get isOver(): boolean {
    return performance.now() >= this.end;
  }

  /** Lets the event loop run once, then starts the next slice. Rejects with ABORTED when the signal says so. */
  async next(): Promise<void> {
    await setImmediate();
    throwIfAborted(this.signal);
    this.end = performance.now() + SLICE_MS;
  }
}

/** Work in JavaScript that yields now and then, and so can be done at once or in slices of time. */
export type Slices<T> = Generator<void, T>;

/** How many small pieces of work go between two yields: far less than a slice's. */
export const PIECES = 128;

/** Does work at once. */
export function atOnce<T>(work: Slices<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/**
 * Does work in slices of time, between which the event loop runs.
 *
 * @throws ABORTED when the signal says so
 */
export async function inSlices<T>(work: Slices<T>, signal?: AbortSignal): Promise<T> {
  const slice = new TimeSlice(signal);
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    if (slice.isOver) await slice.next();
  }
}

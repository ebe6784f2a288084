import { BertuneError } from '../errors.js';
import { invalidOption } from '../options.js';
import type { ServiceOptions } from './options.js';
import type { Rate } from './rate.js';

/** What is before a call that comes now. */
export interface Backlog {
  /** Calls, texts and tokens that are in no batch yet. */
  calls: number;
  texts: number;
  tokens: number;
  /** The batch that computes; undefined: none. */
  running: { tokens: number; since: number } | undefined;
}

type Limits = Pick<Required<ServiceOptions>, 'maxBatchTokens' | 'maxQueuedTexts' | 'maxQueueTime'>;

/** Where nothing was measured that says better. */
const RETRY_AFTER = 1000;

/**
 * Decides which calls a service takes: what waits is bounded in number and in time, so that what is accepted is answered
 * soon, however much is asked for.
 */
export class Admission {
  readonly #limits: Limits;
  readonly #rate: Rate;

  constructor(limits: Limits, rate: Rate) {
    this.#limits = limits;
    this.#rate = rate;
  }

  /** @throws BertuneError QUEUE_FULL, with `retryAfter`; INVALID_OPTION for more texts than ever fit */
  expectRoom(texts: number, backlog: Backlog): void {
    const { maxQueuedTexts, maxQueueTime } = this.#limits;
    if (texts > maxQueuedTexts) throw invalidOption('texts', `at most ${maxQueuedTexts} texts`, texts);
    const over = backlog.texts + texts - maxQueuedTexts;
    if (over > 0) {
      throw queueFull(
        `Expected room for ${texts} of ${maxQueuedTexts} texts but ${backlog.texts} wait`,
        this.#rate.isUnknown ? RETRY_AFTER : this.#rate.millisecondsFor(over * this.#rate.tokensPerText),
      );
    }
    const wait = this.wait(texts, backlog);
    if (wait <= maxQueueTime) return;
    throw queueFull(
      `Expected to wait at most ${maxQueueTime} ms but it would be about ${Math.ceil(wait)} ms`,
      wait - maxQueueTime,
    );
  }

  /**
   * Milliseconds until the batch with the last text of a call of so many would start, as far as others are the reason. 0
   * where it fits into the next batch: that one may always be filled, or the device would be given small batches, which are
   * slow by the token, look slow, and so let even fewer calls in.
   */
  wait(texts: number, { calls, texts: queued, tokens, running }: Backlog): number {
    if (queued === 0) return 0;
    // Calls take turns: of each other one go at most as many texts before its last.
    const before = Math.min(1, (texts * calls) / queued) * tokens;
    if (before + this.#rate.tokensPerText <= this.#limits.maxBatchTokens) return 0;
    const rest = running
      ? Math.max(0, this.#rate.millisecondsFor(running.tokens) - (performance.now() - running.since))
      : 0;
    return rest + this.#rate.millisecondsFor(before);
  }
}

function queueFull(reason: string, milliseconds: number): BertuneError {
  const retryAfter = Math.max(1, Math.ceil(milliseconds));
  return new BertuneError('QUEUE_FULL', `${reason}; try again in about ${retryAfter} ms`, { retryAfter });
}

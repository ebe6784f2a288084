import { BertuneError } from '../../errors.js';
import { invalidOption } from '../../options/validation.js';
import type { Call } from './call.js';
import type { Rate } from './estimates.js';
import type { ServiceSettings } from './options.js';
import type { Demand } from './queue.js';

/** A call that asks for its place. */
export interface Request {
  /** How many turns it takes: as many as it has texts, or windows of them once they are known. */
  texts: number;
  /** All its texts', counted or estimated. */
  tokens: number;
  /** Milliseconds that it may take, and those that have passed of them; undefined: no limit. */
  timeout: number | undefined;
  elapsed: number;
}

/** What is before a call that comes now. */
export interface Before extends Demand {
  /** The batch that computes; undefined: none. */
  running: { tokens: number; since: number } | undefined;
}

type Limits = Pick<ServiceSettings, 'maxBatchTokens' | 'maxQueuedTexts' | 'maxQueueTime'>;

/** Where nothing was measured that says better. */
const RETRY_AFTER = 1000;

/** Once a call is expected to need so much of its time, nothing more is let in before it. */
const SAFE_PART = 0.8;

/**
 * Decides which calls a service takes: what waits is bounded in number and in time, so that what is accepted is answered
 * soon, however much is asked for.
 */
export class Admission {
  readonly #limits: Limits;
  readonly #rate: Rate;
  /** Accepted calls that later ones can delay, and must not delay beyond their time. */
  readonly #delayable = new Set<Call>();

  constructor(limits: Limits, rate: Rate) {
    this.#limits = limits;
    this.#rate = rate;
  }

  /** Watches over the time of a call that was accepted. */
  watch(call: Call): void {
    // A call of one text has its turn before all that come later.
    if (call.count > 1 && call.timeout !== undefined) this.#delayable.add(call);
  }

  /** Ends `watch`. */
  forget(call: Call): void {
    this.#delayable.delete(call);
  }

  /**
   * Of a call whose texts are as they were given.
   *
   * @throws BertuneError QUEUE_FULL and TIMED_OUT as `expectTime`; INVALID_OPTION for more texts than ever fit
   */
  expectRoom(request: Request, before: Before): void {
    const { texts } = request;
    const { maxQueuedTexts } = this.#limits;
    if (texts > maxQueuedTexts) throw invalidOption('texts', `at most ${maxQueuedTexts} texts`, texts);
    const over = before.texts + texts - maxQueuedTexts;
    if (over > 0) {
      throw queueFull(
        `Expected room for ${texts} of ${maxQueuedTexts} texts but ${before.texts} wait`,
        this.#rate.isUnknown ? RETRY_AFTER : this.#rate.millisecondsFor(over * this.#rate.tokensPerText),
      );
    }
    this.expectTime(request, before);
  }

  /**
   * @throws BertuneError QUEUE_FULL, with `retryAfter`; TIMED_OUT where the call could not be answered in time if it were
   *   alone
   */
  expectTime(request: Request, before: Before): void {
    const { tokens, timeout = Number.POSITIVE_INFINITY, elapsed } = request;
    const { maxQueueTime } = this.#limits;
    const least = this.#rate.leastMillisecondsFor(tokens);
    if (elapsed + least > timeout) throw cannotBeInTime(timeout, least);
    const wait = this.wait(request, before);
    if (wait > maxQueueTime) {
      throw queueFull(
        `Expected to wait at most ${maxQueueTime} ms but it would be about ${Math.ceil(wait)} ms`,
        wait - maxQueueTime,
      );
    }
    const late = wait === 0 ? 0 : elapsed + wait + this.#rate.millisecondsFor(tokens) - timeout;
    if (late > 0) {
      throw queueFull(
        `Expected an answer within ${timeout} ms but it would take about ${Math.ceil(timeout + late)} ms`,
        late,
      );
    }
    this.#expectOthersInTime(request, before);
  }

  /**
   * Milliseconds until the batch with the last text of a call would start, as far as others are the reason. 0 where it fits
   * into the next batch: that one may always be filled, or the device would be given small batches, which are slow by the
   * token, look slow, and so let even fewer calls in.
   */
  wait(request: Pick<Request, 'texts' | 'tokens'>, before: Before): number {
    const tokens = tokensInFront(request.texts, before);
    if (tokens === 0 || tokens + request.tokens <= this.#limits.maxBatchTokens) return 0;
    return this.#rest(before) + this.#rate.millisecondsFor(tokens);
  }

  /** A call of many texts was accepted when fewer others took turns with it. */
  #expectOthersInTime({ texts, tokens }: Request, before: Before): void {
    const now = performance.now();
    for (const call of this.#delayable) {
      if (!call.isTokenized || call.waiting < 2) continue;
      const others = { tokens: before.tokens - call.waitingTokens, turnTokens: before.turnTokens - call.turnTokens };
      const own = tokensInFront(call.waiting, others) + call.waitingTokens;
      const needed = now - call.since + this.#rest(before) + this.#rate.millisecondsFor(own);
      const more = this.#rate.millisecondsFor(tokensInFront(call.waiting, { tokens, turnTokens: tokens / texts }));
      // What is too late already is not saved by refusing others.
      if (needed > call.timeout! || needed + more <= SAFE_PART * call.timeout!) continue;
      throw queueFull(
        'Expected room for more but a call that was accepted before would then be too late',
        needed + more - SAFE_PART * call.timeout!,
      );
    }
  }

  /** Milliseconds until the batch that computes ends. */
  #rest({ running }: Before): number {
    if (!running) return 0;
    return Math.max(0, this.#rate.millisecondsFor(running.tokens) - (performance.now() - running.since));
  }
}

/** Tokens of others before the last text of a call. In each turn each of them has one text computed. */
function tokensInFront(texts: number, others: Pick<Demand, 'tokens' | 'turnTokens'>): number {
  return Math.min(others.tokens, texts * others.turnTokens);
}

function queueFull(reason: string, milliseconds: number): BertuneError {
  const retryAfter = Math.max(1, Math.ceil(milliseconds));
  return new BertuneError('QUEUE_FULL', `${reason}; try again in about ${retryAfter} ms`, { retryAfter });
}

function cannotBeInTime(timeout: number, milliseconds: number): BertuneError {
  return new BertuneError(
    'TIMED_OUT',
    `Expected a prediction within ${timeout} ms but these texts alone take about ${Math.ceil(milliseconds)} ms; send ` +
      'fewer in one call or allow more time',
  );
}

import { expectTexts, modelOf, type Prediction, predictionsOf, type TextClassifier } from '../classifier.js';
import { BertuneError } from '../errors.js';
import type { Model } from '../model/model.js';
import { expectObject, expectOneOf, invalidOption } from '../options.js';
import { throwIfAborted } from '../time-slice.js';
import type { Batch } from './batch.js';
import { Call } from './call.js';
import {
  callSettings,
  type ServiceDisposeOptions,
  type ServiceOptions,
  type ServicePredictOptions,
  serviceSettings,
} from './options.js';
import { CallQueue } from './queue.js';
import { type ServiceStatistics, Statistics } from './statistics.js';

/**
 * Predicts for many callers at once. Their texts are computed together, in batches of up to `maxBatchTokens` tokens: what
 * arrives while one batch computes makes the next one. Calls take turns, text by text. The classifier stays its owner's:
 * dispose of the service first, then of the classifier.
 *
 *     await using classifier = await TextClassifier.load('model');
 *     await using service = new PredictionService(classifier);
 *     const [prediction] = await service.predict('i feel great', { signal, timeout: 1000 });
 */
export class PredictionService implements AsyncDisposable {
  readonly #model: Model;
  readonly #settings: Required<ServiceOptions>;
  readonly #queue = new CallQueue();
  readonly #statistics = new Statistics();
  /** Every call that is not settled. */
  readonly #calls = new Set<Call>();
  /** Texts of these calls that are in no batch yet. */
  #queuedTexts = 0;
  #running: Batch | undefined;
  #scheduled: NodeJS.Immediate | undefined;
  #waiting: NodeJS.Timeout | undefined;
  #disposal: PromiseWithResolvers | undefined;

  /** @throws BertuneError INVALID_OPTION */
  constructor(classifier: TextClassifier, options: ServiceOptions = {}) {
    this.#settings = serviceSettings(options);
    this.#model = modelOf(classifier);
  }

  /**
   * Classifies texts.
   *
   * @param texts one or several; longer ones than `maxLength` are cut
   * @returns one prediction a text, in their order
   * @throws BertuneError QUEUE_FULL, with `retryAfter`; ABORTED, TIMED_OUT; DISPOSED; INVALID_OPTION, also for more texts
   *   than `maxQueuedTexts`; OUT_OF_MEMORY and other failures of a batch with one of its texts
   */
  async predict(texts: string | readonly string[], options: ServicePredictOptions = {}): Promise<Prediction[]> {
    if (this.#disposal) throw new BertuneError('DISPOSED', 'Expected a service in use but it has been disposed');
    const { maxLength, signal, timeout } = callSettings(options, (wish) => this.#model.expectMaxLength(wish));
    const list = expectTexts(texts);
    throwIfAborted(signal);
    if (list.length === 0) return [];
    this.#expectRoom(list.length);
    const call = new Call(list.length, undefined, { signal, timeout, onSettled: (settled) => this.#forget(settled) });
    this.#calls.add(call);
    this.#queuedTexts += list.length;
    this.#encode(call, list, maxLength, signal).catch((error) => call.reject(error));
    const { labels } = this.#model;
    return predictionsOf(await call.logits, labels, signal);
  }

  /** What it does now, and did so far. */
  stats(): ServiceStatistics {
    return {
      calls: this.#calls.size,
      queuedTexts: this.#queuedTexts,
      runningTexts: this.#running?.texts ?? 0,
      ...this.#statistics.sums,
    };
  }

  /**
   * Refuses new calls with DISPOSED and resolves when those under way have ended. Safe to call again, e.g. to drop what
   * still waits. Does not dispose of the classifier.
   *
   * @throws BertuneError INVALID_OPTION
   */
  async dispose(options: ServiceDisposeOptions = {}): Promise<void> {
    expectObject('options', options, ['queued']);
    const queued = expectOneOf('queued', options.queued ?? 'finish', ['finish', 'drop']);
    this.#disposal ??= withResolvers();
    if (queued === 'drop') {
      const error = new BertuneError('DISPOSED', 'The service was disposed before this call had its turn');
      for (const call of this.#calls) if (call.waiting > 0) call.reject(error);
    }
    this.#endIfIdle();
    await this.#disposal.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** Tokenizes a call's texts in slices of time, then lets it into the queue. */
  async #encode(call: Call, texts: readonly string[], maxLength: number, signal: AbortSignal | undefined) {
    const encoded = await this.#model.tokenizer.encodeTexts(texts, maxLength, signal ? { signal } : {});
    if (call.settled) return;
    call.encoded = encoded;
    this.#queue.add(call);
    // What else arrives in this turn of the event loop comes along.
    if (!this.#running) this.#scheduled ??= setImmediate(() => this.#start());
  }

  /** Starts the next batch, unless one computes, or it should wait for more texts. */
  #start(): void {
    this.#scheduled = undefined;
    const { maxBatchTokens, maxWait } = this.#settings;
    if (this.#running || this.#queue.isEmpty) return;
    if (maxWait > 0 && !this.#disposal && !this.#queue.fills(maxBatchTokens)) {
      this.#waiting ??= setTimeout(() => this.#startNow(), maxWait);
      return;
    }
    this.#startNow();
  }

  #startNow(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    if (this.#running || this.#queue.isEmpty) return;
    this.#running = this.#queue.nextBatch(this.#settings.maxBatchTokens);
    this.#queuedTexts -= this.#running.texts;
    void this.#run(this.#running);
  }

  /** Computes a batch. The next one starts before its results are handed out, so that the device does not wait. */
  async #run(batch: Batch): Promise<void> {
    const began = performance.now();
    let settle: () => void;
    let failed = false;
    try {
      const logits = await this.#model.forward(batch.encode(), this.#settings.maxBatchTokens);
      settle = () => batch.resolve(logits);
    } catch (error) {
      failed = true;
      // The rest of these calls is not to be computed any more.
      batch.reject(error);
      settle = () => {};
    }
    const figures = {
      texts: batch.texts,
      tokens: batch.tokens,
      calls: batch.calls.size,
      waitSeconds: batch.waitSeconds(began),
      computeSeconds: (performance.now() - began) / 1000,
      failed,
    };
    this.#statistics.add(figures);
    this.#running = undefined;
    this.#start();
    settle();
    this.#endIfIdle();
    this.#settings.onBatch(figures);
  }

  #forget(call: Call): void {
    this.#queue.remove(call);
    this.#calls.delete(call);
    this.#queuedTexts -= call.waiting;
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (!this.#disposal || this.#running) return;
    if (this.#calls.size === 0) {
      clearTimeout(this.#waiting);
      this.#disposal.resolve();
    } else if (this.#waiting) {
      this.#startNow();
    }
  }

  #expectRoom(texts: number): void {
    const { maxQueuedTexts } = this.#settings;
    if (texts > maxQueuedTexts) throw invalidOption('texts', `at most ${maxQueuedTexts} texts`, texts);
    const queued = this.#queuedTexts;
    if (queued + texts <= maxQueuedTexts) return;
    const retryAfter = this.#statistics.millisecondsFor(queued + texts - maxQueuedTexts);
    throw new BertuneError(
      'QUEUE_FULL',
      `Expected room for ${texts} of ${maxQueuedTexts} texts but ${queued} wait; try again in about ${retryAfter} ms`,
      { retryAfter },
    );
  }
}

interface PromiseWithResolvers {
  promise: Promise<void>;
  resolve(): void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

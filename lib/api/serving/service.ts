import { BertuneError } from '../../errors.js';
import { type AnyClassifier, expectClassifier, type TextClassifier } from '../../model/classifier.js';
import { forwardMixed } from '../../model/forward.js';
import type { Values } from '../../model/session.js';
import {
  encodeTexts,
  expectTexts,
  expectTrainedKind,
  type TextInput,
  type TextInputs,
  type TextWay,
  textWay,
} from '../../model/texts.js';
import { pooledRows } from '../../model/windows.js';
import { expectObject, expectOneOf, expectPositiveInteger, shorten } from '../../options/validation.js';
import type { DefaultTask, TaskKind } from '../../tasks/index.js';
import { expectScores, type Prediction, type PredictionSettings, predictionsOf } from '../../tasks/prediction.js';
import { throwIfAborted } from '../../time-slice.js';
import type { EncodedTexts } from '../../tokenizer/index.js';
import { Admission, type Before, type Request } from './admission.js';
import { Call } from './call.js';
import { Rate, TokenEstimate } from './estimates.js';
import {
  type CallSettings,
  callSettings,
  type ServiceDisposeOptions,
  type ServiceOptions,
  type ServicePredictOptions,
  type ServiceSettings,
  serviceSettings,
} from './options.js';
import { Backlog, type Batch, CallQueue, type Demand, sumOf } from './queue.js';
import { type BatchFigures, type ServiceStatistics, Statistics } from './statistics.js';

/**
 * Predicts for many callers at once. Their texts are computed together, in batches of up to `maxBatchTokens` tokens: texts that
 * arrive while one batch is computed form the next. Calls take turns, text by text. The classifier remains yours: dispose of
 * the service first, then of the classifier.
 *
 *     await using classifier = await TextClassifier.load('model');
 *     await using service = new PredictionService(classifier);
 *     const [prediction] = await service.predict('i feel great', { signal, timeout: 1000 });
 */
export class PredictionService<Kind extends TaskKind = DefaultTask> implements AsyncDisposable {
  readonly #model: AnyClassifier;
  readonly #settings: ServiceSettings;
  readonly #queue = new CallQueue();
  readonly #statistics = new Statistics();
  readonly #rate: Rate;
  readonly #estimate: TokenEstimate;
  readonly #admission: Admission;
  /** Every call that is not settled. */
  readonly #calls = new Set<Call>();
  /** Those that are being tokenized, before they come into the queue. */
  readonly #tokenizing = new Backlog();
  #running: Batch | undefined;
  /** When the batch that computes began, by performance.now(). */
  #runningSince = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #waiting: NodeJS.Timeout | undefined;
  #disposal: PromiseWithResolvers | undefined;
  /** Whether an error of onBatch was reported. */
  #warned = false;

  /** @throws BertuneError INVALID_OPTION */
  constructor(classifier: TextClassifier<Kind>, options: ServiceOptions = {}) {
    this.#model = expectClassifier('classifier', classifier);
    this.#settings = serviceSettings(options);
    this.#rate = new Rate(this.#settings.maxBatchTokens);
    this.#estimate = new TokenEstimate(this.#model.tokenizer.specialTokens);
    this.#admission = new Admission(this.#settings, this.#rate);
  }

  /** Classifies one text. */
  predict(text: string, options?: ServicePredictOptions): Promise<[Prediction<Kind>]>;
  /**
   * Classifies texts.
   *
   * @param texts one or several, or an array of pairs `[[text, pair], ...]`; those longer than `maxLength` are truncated, or
   *   read in windows
   * @returns one prediction per text, in order, with the classes of its adapter
   * @throws BertuneError QUEUE_FULL, with `retryAfter`; ABORTED, TIMED_OUT; DISPOSED; NOT_FOUND for an adapter that is not
   *   loaded; INVALID_DATA as `TextClassifier.predict`; INVALID_OPTION, also for more texts than `maxQueuedTexts`;
   *   NON_FINITE_LOGITS naming the text; OUT_OF_MEMORY and other failures of a batch with one of its texts
   */
  predict(texts: string | readonly TextInput[], options?: ServicePredictOptions): Promise<Prediction<Kind>[]>;
  async predict(
    texts: string | readonly TextInput[],
    options: ServicePredictOptions = {},
  ): Promise<Prediction<Kind>[]> {
    this.#expectUsable();
    const inputs = expectTexts(texts);
    const { adapters: names, textKind, ...settings } = callSettings(options, inputs.texts.length);
    throwIfAborted(settings.signal);
    if (inputs.texts.length === 0) return [];
    const model = this.#model;
    const { longTexts, signal } = settings;
    const isChecked = textKind === 'trained';
    const isPair = inputs.pairs !== undefined;
    if (names.every((name) => name === null)) {
      const own = textWay(model, model.longTexts, longTexts, model.session.plan, { isPair });
      if (isChecked) expectTrainedKind(model, inputs);
      const encode = () => encodeTexts(model, inputs, own.limit, signal);
      return this.#predict({ inputs, longest: mostTokens(own), adapters: null, encode, wayOf: () => own }, settings);
    }
    // Held until the call has ended: an adapter that is unloaded meanwhile still serves it.
    return model.withAdapters(names, async (adapters, _, plan) => {
      if (isChecked) expectTrainedKind(model, inputs, adapters);
      const ways = adapters.map((adapter) =>
        textWay(model, (adapter ?? model).longTexts, longTexts, plan, { adapter, isPair }),
      );
      const longest = ways.reduce((most, way) => Math.max(most, mostTokens(way)), 0);
      const limits = ways.map(({ limit }) => limit);
      const encode = () => encodeTexts(model, inputs, limits, signal);
      return this.#predict({ inputs, longest, adapters, encode, wayOf: (text) => ways[text]! }, settings);
    });
  }

  async #predict(
    work: Work,
    settings: PredictionSettings & Pick<CallSettings, 'signal' | 'timeout'>,
  ): Promise<Prediction<Kind>[]> {
    const { inputs, longest, adapters, wayOf } = work;
    const { signal, timeout } = settings;
    const count = inputs.texts.length;
    const outputOf = (text: number) => adapters?.[text] ?? this.#model;
    for (const output of new Set(inputs.texts.map((_, text) => outputOf(text)))) expectScores(output, settings);
    const tokens = this.#estimate.tokensOf(inputs, longest);
    this.#admission.expectRoom({ texts: count, tokens, timeout, elapsed: 0 }, this.#before(this.#demand));
    const call = new Call(count, tokens, adapters, {
      signal,
      timeout,
      onSettled: (settled) => this.#forget(settled),
    });
    this.#calls.add(call);
    this.#tokenizing.count(call);
    this.#encode(call, work).catch((error) => call.reject(error));
    const rows = await call.rows;
    const row = pooledRows(
      (sequence) => rows[sequence]!,
      call.windows,
      (text) => wayOf(text).pooling,
    );
    const predictions = predictionsOf({ count, row, outputOf }, settings, signal);
    return predictions as Promise<Prediction<Kind>[]>;
  }

  /**
   * Throws if there is no room for a call now. A server that asks first need not read a request that it will not answer. Nothing
   * is reserved.
   *
   * @param texts how many the call would have. Defaults to 1.
   * @throws BertuneError QUEUE_FULL, with `retryAfter`; DISPOSED; INVALID_OPTION
   */
  expectRoom(texts = 1): void {
    this.#expectUsable();
    this.#admission.expectRoom(this.#usual(expectPositiveInteger('texts', texts)), this.#before(this.#demand));
  }

  /** What it is doing now, and what it has done so far. */
  stats(): ServiceStatistics {
    return {
      calls: this.#calls.size,
      queuedTexts: this.#demand.texts,
      queuedTokens: this.#demand.tokens,
      expectedWait: this.#admission.wait(this.#usual(1), this.#before(this.#demand)),
      runningTexts: this.#running?.texts ?? 0,
      ...this.#statistics.sums,
    };
  }

  /**
   * Refuses new calls with DISPOSED and resolves when those in progress have ended. Safe to call again, e.g. to drop those
   * still waiting. Does not dispose of the classifier.
   *
   * @throws BertuneError INVALID_OPTION
   */
  async dispose(options: ServiceDisposeOptions = {}): Promise<void> {
    const given = expectObject('options', options, ['queued']);
    const queued = expectOneOf('queued', given.queued ?? 'finish', ['finish', 'drop']);
    this.#disposal ??= withResolvers();
    if (queued === 'drop') {
      const error = new BertuneError('DISPOSED', 'The service was disposed before this call was computed');
      for (const call of this.#calls) if (call.waiting > 0) call.reject(error);
    }
    this.#endIfIdle();
    await this.#disposal.promise;
  }

  /** The same as `dispose()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /**
   * Tokenizes a call's texts in slices of time, then lets it into the queue. There are more tokens than was thought where
   * texts are unlike those before: then there may be no room any more.
   */
  async #encode(call: Call, { inputs, longest, encode }: Work) {
    const encoded = await encode();
    if (call.settled) return;
    this.#tokenizing.remove(call);
    this.#estimate.learn(inputs, encoded, longest);
    const { timeout, since } = call;
    const sequences = encoded.offsets.length - 1;
    const request = { texts: sequences, tokens: encoded.ids.length, timeout, elapsed: performance.now() - since };
    this.#admission.expectTime(request, this.#before(this.#queue.demand));
    call.encoded = encoded;
    this.#admission.watch(call);
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
    if (this.#running) return;
    this.#endStranded();
    if (this.#queue.isEmpty) return;
    this.#running = this.#queue.nextBatch(this.#settings.maxBatchTokens);
    this.#runningSince = performance.now();
    void this.#run(this.#running);
  }

  /** Computes a batch. The next one starts before its results are handed out, so that the device does not wait. */
  async #run(batch: Batch): Promise<void> {
    const began = this.#runningSince;
    let settle: () => void;
    let failed = false;
    try {
      const rowOf = await this.#forward(batch);
      settle = () => batch.resolve(rowOf);
    } catch (error) {
      failed = true;
      // The rest of these calls is not to be computed any more.
      batch.reject(error);
      settle = () => {};
    }
    const ended = performance.now();
    const { texts, tokens } = batch;
    if (!failed) this.#rate.add(texts, tokens, ended - began);
    const figures = {
      texts,
      tokens,
      calls: batch.calls.size,
      waitSeconds: batch.waitSeconds(began),
      computeSeconds: (ended - began) / 1000,
      failed,
    };
    this.#statistics.add(figures);
    this.#running = undefined;
    this.#start();
    settle();
    this.#endIfIdle();
    this.#report(figures);
  }

  /** A listener's error does not fail the batch, and no caller could catch it. */
  #report(figures: BatchFigures): void {
    try {
      this.#settings.onBatch(figures);
    } catch (error) {
      if (this.#warned) return;
      this.#warned = true;
      const reason = error instanceof Error ? (error.stack ?? error.message) : 'something that is no Error';
      process.emitWarning(`onBatch of a PredictionService threw ${reason}`, 'BertuneWarning');
    }
  }

  /** The logits of each text of a batch. */
  async #forward(batch: Batch): Promise<(text: number) => Values> {
    const { maxBatchTokens } = this.#settings;
    const { labels } = this.#model;
    const { adapters } = batch;
    const encoded = batch.encode();
    if (adapters !== null) {
      const { session } = this.#model;
      const { plan } = session;
      const { rows } = await session.use((native) =>
        forwardMixed(native, { plan, labels }, adapters, encoded, maxBatchTokens, undefined),
      );
      return (text) => rows[text]!;
    }
    const { logits } = await this.#model.forward(encoded, maxBatchTokens);
    return (text) => logits.subarray(text * labels.length, (text + 1) * labels.length);
  }

  /** Ends calls whose adapters went when the model was trained or merged: they must not take others along. */
  #endStranded(): void {
    for (const call of this.#calls) {
      const gone = call.adapters?.find((adapter) => adapter && !this.#model.has(adapter));
      if (!gone) continue;
      call.reject(this.#goneError(gone.name));
    }
  }

  #goneError(adapter: string): unknown {
    try {
      this.#model.expectUsable();
    } catch (error) {
      return error;
    }
    return new BertuneError('NOT_FOUND', `Expected the adapter ${JSON.stringify(shorten(adapter))} but it is gone`);
  }

  #forget(call: Call): void {
    this.#queue.remove(call);
    this.#tokenizing.remove(call);
    this.#admission.forget(call);
    this.#calls.delete(call);
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

  /** Of all calls, tokenized or not. */
  get #demand(): Demand {
    return sumOf(this.#queue.demand, this.#tokenizing);
  }

  #before({ texts, tokens, turnTokens }: Demand): Before {
    const running = this.#running && { tokens: this.#running.tokens, since: this.#runningSince };
    return { texts, tokens, turnTokens, running };
  }

  /** A call of so many texts that are as long as usual. */
  #usual(texts: number): Request {
    return { texts, tokens: texts * this.#rate.tokensPerText, timeout: undefined, elapsed: 0 };
  }

  /** @throws BertuneError DISPOSED */
  #expectUsable(): void {
    if (this.#disposal) throw new BertuneError('DISPOSED', 'The service has been disposed; create another');
  }
}

/** What a call is to compute. */
interface Work {
  inputs: TextInputs;
  /** Tokens of a text at most; Infinity where longer ones are read in windows. */
  longest: number;
  adapters: Call['adapters'];
  encode: () => Promise<EncodedTexts>;
  wayOf: (text: number) => TextWay;
}

function mostTokens({ limit }: TextWay): number {
  return limit.stride === undefined ? limit.maxLength : Number.POSITIVE_INFINITY;
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

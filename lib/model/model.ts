import type { ModelConfig } from '../architectures/index.js';
import { BertuneError } from '../errors.js';
import type { DirectoryLock } from '../files/lock.js';
import { definitionOf, type Method, type MethodPlan, methodPlan } from '../methods.js';
import { expectPositiveInteger, invalidOption } from '../options.js';
import type { TextInputs } from '../text-input.js';
import { throwIfAborted } from '../time-slice.js';
import type { EncodedTexts, Tokenizer } from '../tokenizer.js';
import { type AdapterInfo, type NamedAdapter, NamedAdapters, readForModel } from './adapters.js';
import { longestFirst, packBatches } from './batches.js';
import { expectContinuation } from './continuation.js';
import type { ResolvedDevice } from './device.js';
import { forwardBatches, predictBatch } from './forward.js';
import { expectKind } from './kind.js';
import { forwardMixed } from './mixed.js';
import { PROMPT_EMBEDDINGS } from './names.js';
import { datasetOf, Session, type Values } from './session.js';

/** Where a model's frozen weights come from. */
export interface Base {
  /** As the caller gave it; of a model on the hub, its id. */
  name: string;
  onHub: boolean;
  /** Its branch, tag or commit on the hub, where one was asked for; null otherwise. */
  revision: string | null;
  /** Its files, the tokenizer's as well. Absolute: the process may change its working directory. */
  directory: string;
  /** Names of its classifier's rows, in the order of its file; null where nothing names them. */
  labels: readonly string[] | null;
  /** Whether the weights under an adapter are exactly those that the name leads to. */
  intact: boolean;
}

/** What a model whose adapter is merged keeps to become again what it was. */
export interface Unmerged {
  plan: MethodPlan;
  /** Of every parameter that the session holds differently or not at all: the low-rank pairs and the weights under them. */
  values: ReadonlyMap<string, Values>;
}

/** What a model is made of when it is loaded. */
export interface ModelParts {
  config: ModelConfig;
  labels: readonly string[];
  tokenizer: Tokenizer;
  device: ResolvedDevice;
  base: Base;
  /** Method of the adapter, null without one. */
  method: Method | null;
  /** Whether its classifier was trained on pairs of texts; null where that is not known. */
  pairs: boolean | null;
  session: Session;
}

/**
 * What a TextClassifier and its Trainers share: the weights in a native session, and what is needed to read, replace and
 * run it. Not public.
 */
export class Model {
  readonly config: ModelConfig;
  readonly labels: readonly string[];
  readonly tokenizer: Tokenizer;
  readonly device: ResolvedDevice;
  readonly base: Base;
  /** Of the directory that the run under way writes to; null without one. Saves of the model take turns under it. */
  outputLock: DirectoryLock | null = null;
  #method: Method | null;
  #pairs: boolean | null;
  #session: Session;
  #unmerged: Unmerged | null = null;
  #busy = false;
  /** Of the session, and gone with it. */
  #adapters: NamedAdapters;
  #disposal: Promise<void> | undefined;

  constructor(parts: ModelParts) {
    this.config = parts.config;
    this.labels = parts.labels;
    this.tokenizer = parts.tokenizer;
    this.device = parts.device;
    this.base = parts.base;
    this.#method = parts.method;
    this.#pairs = parts.pairs;
    this.#session = parts.session;
    this.#adapters = new NamedAdapters(parts.session);
  }

  /** How it was trained last, or the method of the adapter it was loaded with; null for a model as it was found. */
  get method(): Method | null {
    return this.#method;
  }

  /** Whether it was trained last on pairs of texts; null where that is not known. */
  get pairs(): boolean | null {
    return this.#pairs;
  }

  /** What it was before its adapter was merged into the weights; null where none is. */
  get unmerged(): Unmerged | null {
    return this.#unmerged;
  }

  /** @throws BertuneError DISPOSED */
  get session(): Session {
    this.expectUsable();
    return this.#session;
  }

  /** Longest text in tokens that the model takes under a method. */
  longest(plan: MethodPlan = this.session.plan): number {
    const positions = this.config.maxTokens - (plan.prefix?.virtualTokens ?? 0);
    return Math.min(positions, this.tokenizer.modelMaxLength);
  }

  /**
   * Checks a wish for the longest text.
   *
   * @param wish null: what the model takes
   * @throws BertuneError INVALID_OPTION
   */
  expectMaxLength(wish: number | null, plan: MethodPlan = this.session.plan): number {
    return this.#expectLength(wish, this.longest(plan));
  }

  #expectLength(wish: number | null, longest: number): number {
    if (wish === null) return longest;
    const least = Math.max(1, this.tokenizer.specialTokens);
    if (expectPositiveInteger('maxLength', wish) < least || wish > longest) {
      throw invalidOption('maxLength', `an integer from ${least} to ${longest}, which is what the model takes,`, wish);
    }
    return wish;
  }

  /**
   * Checks that texts are of the kind that the model, or the adapter of each, was trained on.
   *
   * @param adapters of each text (N), null: the model itself. Defaults to the model itself.
   * @throws BertuneError INVALID_DATA
   */
  expectTrainedKind({ texts, pairs }: TextInputs, adapters: AdapterUse['adapters'] = [null]): void {
    if (texts.length === 0) return;
    for (const adapter of new Set(adapters)) {
      expectKind(adapter ? adapter.pairs : this.#pairs, pairs !== undefined, adapter?.name ?? null);
    }
  }

  /**
   * Token ids of texts, or of pairs of texts.
   *
   * @param maxLength of all, or of each (N)
   * @throws BertuneError INVALID_OPTION where the model has too few token types for pairs; INVALID_DATA, ABORTED
   */
  async encode(
    { texts, pairs }: TextInputs,
    maxLength: number | readonly number[],
    signal?: AbortSignal,
  ): Promise<EncodedTexts> {
    const options = { ...(pairs && { pairs }), ...(signal && { signal }) };
    const encoded = await this.tokenizer.encodeTexts(texts, maxLength, options);
    const { typeVocabSize, vocabSize } = this.config;
    const stray = encoded.ids.find((id) => id >= vocabSize);
    if (stray !== undefined) {
      throw new BertuneError(
        'INVALID_DATA',
        `Expected token ids below ${vocabSize}, as the model has so many word embeddings, but a text has ${stray}: it ` +
          'holds a special token, such as [MASK], that is not in the vocabulary',
      );
    }
    if (encoded.typeIds?.some((type) => type >= typeVocabSize)) {
      const what = pairs === undefined ? 'these texts' : 'pairs of texts';
      throw new BertuneError(
        'INVALID_OPTION',
        `Expected single texts, as the model has ${typeVocabSize} token type${typeVocabSize === 1 ? '' : 's'}, but received ${what}`,
      );
    }
    return encoded;
  }

  /** Logits (N, NC) of texts that are already token ids. */
  async forward(encoded: EncodedTexts, batchTokens: number, signal?: AbortSignal): Promise<Values> {
    const { session } = this;
    throwIfAborted(signal);
    const batches = packBatches(encoded.offsets, longestFirst(encoded.offsets), batchTokens);
    if (batches.starts.length === 2) return session.use((native) => predictBatch(native, datasetOf(encoded), batches));
    return session.withDataset(datasetOf(encoded), (handle, native) => forwardBatches(native, handle, batches, signal));
  }

  /** The adapters beside the model, in the order of their loading. */
  get adapters(): AdapterInfo[] {
    return this.#disposal ? [] : this.#adapters.list;
  }

  /** Whether an adapter that is held can still be computed with: not once the model was trained, merged or disposed. */
  has(adapter: NamedAdapter): boolean {
    return adapter.session === this.#session && !this.#disposal;
  }

  /** Puts an adapter beside the model. Parameters and errors as TextClassifier.loadAdapter. */
  async loadAdapter(
    name: string,
    directory: string,
    labels: readonly string[] | undefined,
    signal: AbortSignal | undefined,
  ): Promise<AdapterInfo> {
    this.expectUsable();
    const adapters = this.#adapters;
    this.#expectIdle(adapters);
    if (this.#unmerged) {
      throw new BertuneError(
        'INVALID_OPTION',
        "Expected a model whose own adapter is not merged into the others' base; call unmerge() first",
      );
    }
    const bias = this.session.plan.lora?.bias ?? 'none';
    if (bias !== 'none') {
      throw new BertuneError(
        'INVALID_OPTION',
        `The model's own adapter has biases (bias = "${bias}"), which others would be computed with; load the model ` +
          'under it, and the others beside that',
      );
    }
    const info = await adapters.load(name, async () => {
      const read = await readForModel(this, directory, labels, signal);
      this.expectUsable();
      this.#expectIdle(adapters);
      return read;
    });
    this.#expectIdle(adapters);
    return info;
  }

  /** Takes an adapter away. Parameters and errors as TextClassifier.unloadAdapter. */
  async unloadAdapter(name: string): Promise<void> {
    this.expectUsable();
    await this.#adapters.unload(name);
  }

  /**
   * Holds adapters, which are not unloaded, while `work` uses them. What it is given has the texts encoded and computed on
   * one and the same session, even where the model is trained or disposed meanwhile.
   *
   * @param names of each text's adapter (N); null: the model as it was loaded
   * @throws BertuneError NOT_FOUND listing the adapters there are; DISPOSED; what `work` throws
   */
  async withAdapters<T>(names: readonly (string | null)[], work: (use: AdapterUse) => Promise<T>): Promise<T> {
    const { session } = this;
    return this.#adapters.hold(names, (adapters) =>
      session.use((native) =>
        work({
          adapters,
          labelsOf: (text) => adapters[text]?.labels ?? this.labels,
          encode: (inputs, maxLength, signal) =>
            this.encode(inputs, this.#textLimits(adapters, maxLength, session.plan), signal),
          forward: (encoded, batchTokens, signal) =>
            forwardMixed(native, { plan: session.plan, labels: this.labels }, adapters, encoded, batchTokens, signal),
        }),
      ),
    );
  }

  /**
   * Logits of texts that are already token ids, each by an adapter that is held, in batches of at most so many tokens.
   *
   * @param adapters of each text (N); null: the model as it was loaded
   * @returns a row a text (N), as long as its adapter has classes
   * @throws BertuneError INVALID_OPTION for an adapter that went when the model was trained or merged; OUT_OF_MEMORY, DISPOSED
   */
  async forwardHeld(
    adapters: readonly (NamedAdapter | null)[],
    encoded: EncodedTexts,
    batchTokens: number,
  ): Promise<Values[]> {
    const { session } = this;
    const gone = adapters.find((adapter) => adapter && !this.has(adapter));
    if (gone) {
      throw new BertuneError(
        'INVALID_OPTION',
        `Expected the adapter ${JSON.stringify(gone.name)} beside the model as it is now`,
      );
    }
    return session.use((native) =>
      forwardMixed(native, { plan: session.plan, labels: this.labels }, adapters, encoded, batchTokens, undefined),
    );
  }

  /** The longest text that each adapter takes, or `wish` where all of them take that. */
  #textLimits(adapters: AdapterUse['adapters'], wish: number | null, plan: MethodPlan): number[] {
    const longest = this.longest(plan);
    return adapters.map((adapter) => {
      const most = Math.min(longest, this.config.maxTokens - (adapter?.virtualTokens ?? 0));
      return this.#expectLength(wish, most);
    });
  }

  /** @throws BertuneError INVALID_OPTION while the model trains, or once it has since `adapters` were its own */
  #expectIdle(adapters: NamedAdapters): void {
    if (!this.#busy && this.#adapters === adapters) return;
    throw new BertuneError(
      'INVALID_OPTION',
      'Expected a model that is not in training: adapters are loaded before it or after it',
    );
  }

  /**
   * Keeps others from replacing the session while `work` runs.
   *
   * @throws BertuneError INVALID_OPTION while the model is trained or merged already, DISPOSED
   */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) {
      throw new BertuneError(
        'INVALID_OPTION',
        'Expected a model that is not in training, nor being merged or unmerged: one at a time',
      );
    }
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }

  /** What a method would make of the model. Parameters it has already keep their values. */
  planFor(method: Method): MethodPlan {
    if (this.#unmerged) {
      throw new BertuneError(
        'INVALID_OPTION',
        'Expected a model whose adapter is not merged; call unmerge() to train it',
      );
    }
    const current = this.session.plan;
    const next = methodPlan(method, this.config, this.labels.length, current.head);
    expectContinuation(current, next, method.kind);
    return next;
  }

  /**
   * Replaces the session by one that trains by `plan`. Parameters that the model has keep their values; new ones are
   * initialised. On failure the model stays as it was.
   *
   * @param seed of the new parameters
   * @param pairs whether it trains on pairs of texts
   * @throws BertuneError OUT_OF_MEMORY, DISPOSED
   */
  retarget(method: Method, plan: MethodPlan, seed: number, pairs: boolean): Promise<Session> {
    const fill = async (next: Session, old: Session) => {
      const shapes = new Map(old.plan.parameters.map(({ name, shape }) => [name, shape.join()]));
      const flattened = old.plan.prefix?.projection && plan.prefix && !plan.prefix.projection;
      for (const row of plan.parameters) {
        const { name, shape } = row;
        if (flattened && name === PROMPT_EMBEDDINGS) {
          await next.write(name, await old.use((native) => native.promptEmbeddings()));
        } else if (shapes.get(name) === shape.join()) {
          await next.write(name, await old.read(name));
        } else {
          await next.initialize(row, seed);
        }
      }
    };
    return this.exchange(plan, fill, () => {
      this.#method = method;
      this.#pairs = pairs;
      const isInAdapter = definitionOf(method.kind).adapter !== null;
      const trainsEncoder = plan.parameters.some(({ group, trainable }) => trainable && group === 'encoder');
      if (trainsEncoder && !isInAdapter) this.base.intact = false;
    });
  }

  /** What to go back to from now on, said together with the session that makes it so. */
  keepUnmerged(unmerged: Unmerged | null): void {
    this.#unmerged = unmerged;
  }

  /**
   * Replaces the session. On failure the model stays as it was.
   *
   * @param plan of the new one
   * @param fill gives every parameter of the new session its values
   * @param done called together with the replacement
   * @throws BertuneError OUT_OF_MEMORY, DISPOSED
   */
  async exchange(
    plan: MethodPlan,
    fill: (next: Session, old: Session) => Promise<void>,
    done: () => void,
  ): Promise<Session> {
    const old = this.session;
    const next = await Session.create(this.config, plan, this.device);
    try {
      await fill(next, old);
      this.expectUsable();
    } catch (cause) {
      await next.retire();
      throw cause;
    }
    this.#session = next;
    this.#adapters = new NamedAdapters(next);
    done();
    await old.retire();
    return next;
  }

  /** Frees the memory after the work that is under way. Safe to call twice. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#session.retire();
    return this.#disposal;
  }

  /** @throws BertuneError DISPOSED */
  expectUsable(): void {
    if (this.#disposal) throw new BertuneError('DISPOSED', 'Expected a model in use but it has been disposed');
  }
}

/** Adapters that are held, one a text, and the work that can be done with them. */
export interface AdapterUse {
  /** Each text's (N); null: the model as it was loaded. */
  readonly adapters: readonly (NamedAdapter | null)[];
  /** Names of the classes of a text's logits. */
  labelsOf(text: number): readonly string[];
  /**
   * Token ids of the texts (N), each cut to what its adapter takes, or to `maxLength` where it is not null.
   *
   * @throws BertuneError INVALID_OPTION, ABORTED
   */
  encode(inputs: TextInputs, maxLength: number | null, signal?: AbortSignal): Promise<EncodedTexts>;
  /**
   * Logits of texts that are already token ids, in batches of at most so many tokens that mix LoRA adapters.
   *
   * @returns a row a text (N), as long as its adapter has classes
   * @throws BertuneError ABORTED, OUT_OF_MEMORY
   */
  forward(encoded: EncodedTexts, batchTokens: number, signal?: AbortSignal): Promise<Values[]>;
}

import type { BertConfig } from '../checkpoint/config.js';
import { BertuneError } from '../errors.js';
import { type Method, type MethodKind, type MethodPlan, methodPlan } from '../methods.js';
import type { NativeDataset, NativeLoraConfig, NativePrefixConfig } from '../native.js';
import { expectPositiveInteger, invalidOption } from '../options.js';
import { throwIfAborted } from '../time-slice.js';
import type { EncodedTexts, Tokenizer } from '../tokenizer.js';
import { longestFirst, packBatches } from './batches.js';
import type { ResolvedDevice } from './device.js';
import { forwardBatches, predictBatch } from './forward.js';
import { initializerOf } from './initialise.js';
import { Session, type Values } from './session.js';

/** Where a model's frozen weights come from. */
export interface Base {
  /** As the caller gave it: what an adapter's base_model_name_or_path will say. */
  name: string;
  /** Directory of the tokenizer's files. */
  tokenizerFrom: string;
  /** Whether the weights under an adapter are exactly those that the name leads to. */
  intact: boolean;
}

/** The prefix's own parameter: (P, C) in front of a projection, (P, 2LC) without. */
export const PROMPT_EMBEDDINGS = 'prompt_encoder.embedding.weight';

/** What a model is made of when it is loaded. */
export interface ModelParts {
  config: BertConfig;
  labels: readonly string[];
  tokenizer: Tokenizer;
  device: ResolvedDevice;
  base: Base;
  /** Method of the adapter, null without one. */
  method: Method | null;
  session: Session;
}

/**
 * What a TextClassifier and its Trainers share: the weights in a native session, and what is needed to read, replace and
 * run it. Not public.
 */
export class Model {
  readonly config: BertConfig;
  readonly labels: readonly string[];
  readonly tokenizer: Tokenizer;
  readonly device: ResolvedDevice;
  readonly base: Base;
  #method: Method | null;
  #session: Session;
  #training = false;
  #disposal: Promise<void> | undefined;

  constructor(parts: ModelParts) {
    this.config = parts.config;
    this.labels = parts.labels;
    this.tokenizer = parts.tokenizer;
    this.device = parts.device;
    this.base = parts.base;
    this.#method = parts.method;
    this.#session = parts.session;
  }

  /** How it was trained last, or the method of the adapter it was loaded with; null for a model as it was found. */
  get method(): Method | null {
    return this.#method;
  }

  /** @throws BertuneError DISPOSED */
  get session(): Session {
    this.expectUsable();
    return this.#session;
  }

  /** Longest text in tokens that the model takes under a method. */
  longest(plan: MethodPlan = this.session.plan): number {
    const positions = this.config.maxPositions - (plan.prefix?.virtualTokens ?? 0);
    return Math.min(positions, this.tokenizer.modelMaxLength);
  }

  /**
   * Checks a wish for the longest text.
   *
   * @param wish null: what the model takes
   * @throws BertuneError INVALID_OPTION
   */
  expectMaxLength(wish: number | null, plan: MethodPlan = this.session.plan): number {
    const longest = this.longest(plan);
    if (wish === null) return longest;
    const least = Math.max(1, this.tokenizer.specialTokens);
    if (expectPositiveInteger('maxLength', wish) < least || wish > longest) {
      throw invalidOption('maxLength', `an integer from ${least} to ${longest}, which is what the model takes,`, wish);
    }
    return wish;
  }

  /** Logits (N, NC) of texts that are already token ids. */
  async forward(encoded: EncodedTexts, batchTokens: number, signal?: AbortSignal): Promise<Values> {
    const { session } = this;
    throwIfAborted(signal);
    const batches = packBatches(encoded.offsets, longestFirst(encoded.offsets), batchTokens);
    if (batches.starts.length === 2) return session.use((native) => predictBatch(native, datasetOf(encoded), batches));
    return session.withDataset(datasetOf(encoded), (handle, native) => forwardBatches(native, handle, batches, signal));
  }

  /**
   * Marks the model as in training while `work` runs.
   *
   * @throws BertuneError INVALID_OPTION when it is in training already, DISPOSED
   */
  async whileTraining<T>(work: () => Promise<T>): Promise<T> {
    if (this.#training) {
      throw new BertuneError('INVALID_OPTION', 'Expected a model that is not in training: one run at a time');
    }
    this.#training = true;
    try {
      return await work();
    } finally {
      this.#training = false;
    }
  }

  /** What a method would make of the model. Parameters it has already keep their values. */
  planFor(method: Method): MethodPlan {
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
   * @throws BertuneError OUT_OF_MEMORY, DISPOSED
   */
  async retarget(method: Method, plan: MethodPlan, seed: number): Promise<Session> {
    const old = this.session;
    const next = await Session.create(this.config, this.labels.length, plan, this.device);
    try {
      const shapes = new Map(old.plan.parameters.map(({ name, shape }) => [name, shape.join()]));
      const flattened = old.plan.prefix?.projection && plan.prefix && !plan.prefix.projection;
      for (const { name, shape } of plan.parameters) {
        if (flattened && name === PROMPT_EMBEDDINGS) {
          await next.write(name, await old.use((native) => native.promptEmbeddings()));
        } else if (shapes.get(name) === shape.join()) {
          await next.write(name, await old.read(name));
        } else {
          await next.initialize(name, initializerOf(name, shape, this.config, seed));
        }
      }
      this.expectUsable();
    } catch (cause) {
      await next.retire();
      throw cause;
    }
    this.#session = next;
    this.#method = method;
    if (method.kind === 'full') this.base.intact = false;
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

/** Token ids as the addon takes them. */
export function datasetOf({ ids, offsets, typeIds }: EncodedTexts, labels?: Int32Array): NativeDataset {
  return { ids, offsets, ...(typeIds && { typeIds }), ...(labels && { labels }) };
}

/** An adapter can be trained on, but not turned into another method or another shape. */
function expectContinuation(current: MethodPlan, next: MethodPlan, kind: MethodKind): void {
  const carried = current.lora ? 'lora' : current.prefix ? 'prefix' : undefined;
  if (carried === undefined) return;
  if (kind !== carried) {
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected the method ${carried} because the model carries such an adapter but received ${kind}; ` +
        'load the base model for another method',
    );
  }
  const expected = [
    ...(current.lora && next.lora ? loraDifferences(current.lora, next.lora) : []),
    ...(current.prefix && next.prefix ? prefixDifferences(current.prefix, next.prefix) : []),
  ];
  if (expected.length === 0) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected ${expected.join(' and ')}, as in the adapter that the model carries; load the base model for another`,
  );
}

function loraDifferences(current: NativeLoraConfig, next: NativeLoraConfig): string[] {
  const modules = (config: NativeLoraConfig) => [...config.modules].sort().join(', ');
  return [
    ...(next.rank === current.rank ? [] : [`rank ${current.rank} but received ${next.rank}`]),
    ...(modules(next) === modules(current) ? [] : [`the targets ${modules(current)} but received ${modules(next)}`]),
  ];
}

function prefixDifferences(current: NativePrefixConfig, next: NativePrefixConfig): string[] {
  const { virtualTokens, projection } = current;
  return [
    ...(next.virtualTokens === virtualTokens
      ? []
      : [`${virtualTokens} virtual tokens but received ${next.virtualTokens}`]),
    // Adapters hold what the network made, not the network.
    ...(next.projection && !projection ? ['projection: false'] : []),
  ];
}

import type { ModelConfig } from './architectures/index.js';
import { BertuneError } from './errors.js';
import { listLabels } from './labels.js';
import { countPlan, type Method, type ParameterCounts } from './methods.js';
import { type AdapterChoice, type AdapterInfo, expectAdapterNames } from './model/adapters.js';
import { DEFAULT_BATCH_TOKENS } from './model/batches.js';
import type { Device, Precision } from './model/device.js';
import { expectTextKind, type TextKind } from './model/kind.js';
import { type LoadOptions, loadModel } from './model/load.js';
import { memoryReport } from './model/memory.js';
import { mergeAdapter, unmergeAdapter } from './model/merge.js';
import type { Model } from './model/model.js';
import { exportModel, type SaveOptions, saveModel } from './model/save.js';
import type { Values } from './model/session.js';
import type { NativeParameterInfo } from './native.js';
import {
  expectAbortSignal,
  expectNames,
  expectObject,
  expectPath,
  expectPositiveInteger,
  expectString,
  invalidOption,
} from './options.js';
import { expectFiniteLogits, type LogitRows, type Prediction, predictionsOf } from './prediction.js';
import { expectTexts, type TextInput, type TextInputs } from './text-input.js';
import { TimeSlice, throwIfAborted } from './time-slice.js';
import type { MemoryReport } from './training/events.js';

export type { AdapterChoice, AdapterInfo } from './model/adapters.js';
export type { HeadChoice } from './model/head.js';
export type { TextKind } from './model/kind.js';
export type { LoadOptions } from './model/load.js';
export type { SaveOptions } from './model/save.js';
export type { Prediction } from './prediction.js';
export type { TextInput } from './text-input.js';

/** Options of `predict` and `logits`. */
export interface PredictOptions {
  /** Tokens a batch. Speed and memory depend on it, results only in their last bits. Defaults to 1024. */
  batchTokens?: number | undefined;
  /** Longest text in tokens, special ones included; the rest is cut. Defaults to what the model takes. */
  maxLength?: number | undefined;
  /** Stops the work within a fraction of a second. Defaults to none. */
  signal?: AbortSignal | undefined;
  /**
   * Adapters to predict with, of those that `loadAdapter` loaded: one name for all texts, or one a text; null is the model
   * as it was loaded. A batch mixes LoRA adapters and the model itself; texts of a prefix adapter make batches of their
   * own. Defaults to the model as it was loaded.
   */
  adapter?: AdapterChoice | undefined;
  /**
   * 'trained': texts have to be of the kind, single ones or pairs, that the model or the adapter was trained on, where that
   * is known; scores of the others mean nothing. 'any': others will do. Defaults to 'trained'.
   */
  textKind?: TextKind | undefined;
}

/** Options of `loadAdapter`. */
export interface LoadAdapterOptions {
  /**
   * Names of the adapter's classes, in the order to have them in: the names it was saved with, else the base's, whose rows go
   * along; or new names for rows that neither file names. Defaults to those it was saved with, else to the base's, in the
   * order of its file, where there are as many, else LABEL_0, LABEL_1, ...
   */
  labels?: readonly string[] | undefined;
  /** Stops the loading. Defaults to none. */
  signal?: AbortSignal | undefined;
}

/** Scores before softmax. */
export interface Logits {
  /** (N, NC), row-major, in the order of the texts. Float64Array in fp64. */
  logits: Float32Array | Float64Array;
  /** NC */
  classes: number;
  /** Names of the columns (NC). */
  labels: readonly string[];
}

/**
 * The model inside a classifier, for Trainers. Not public.
 *
 * @throws BertuneError INVALID_OPTION naming the argument `name` unless it is one
 */
export let modelOf: (classifier: unknown, name?: string) => Model;

/**
 * A BERT text classifier: loads checkpoints and adapters, predicts, saves. A Trainer trains it in place. Its memory lies
 * outside JavaScript's heap: call `dispose()` or declare it with `await using`.
 */
export class TextClassifier implements AsyncDisposable {
  readonly #model: Model;
  /** A copy of the model's own, for others to read. */
  readonly #config: ModelConfig;
  /** What is worth knowing about how it was loaded, e.g. that its classifier is new. */
  readonly notes: readonly string[];

  private constructor(model: Model, notes: readonly string[]) {
    this.#model = model;
    this.#config = Object.freeze({ ...model.config });
    this.notes = notes;
  }

  static {
    modelOf = (classifier, name = 'classifier') => {
      const isOne = typeof classifier === 'object' && classifier !== null && #model in classifier;
      if (!isOne) throw invalidOption(name, 'a TextClassifier', classifier);
      return classifier.#model;
    };
  }

  /**
   * Loads a checkpoint, or an adapter with the checkpoint it belongs on.
   *
   * @param source directory of a Hugging Face BERT checkpoint, or of a LoRA or prefix adapter in PEFT's format; or the id
   *   of either on the Hugging Face hub: `name`, `org/name` or `org/name@revision`
   * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID, SHAPE_MISMATCH for the files; HUB_UNAVAILABLE, HUB_ACCESS,
   *   OUTPUT_REFUSED (the cache) for the hub; INVALID_OPTION; ABORTED; CUDA_UNAVAILABLE; OUT_OF_MEMORY; NATIVE_UNAVAILABLE
   */
  static async load(source: string, options: LoadOptions = {}): Promise<TextClassifier> {
    const { model, notes } = await loadModel(source, options);
    return new TextClassifier(model, notes);
  }

  /** Names of the classes, in the order of the logits. */
  get labels(): readonly string[] {
    return this.#model.labels;
  }

  /** The model's dimensions and what else its config.json says. */
  get config(): ModelConfig {
    return this.#config;
  }

  /** Where it computes. */
  get device(): Exclude<Device, 'auto'> {
    return this.#model.device.device === 'cpu' ? 'cpu' : 'cuda';
  }

  /** The arithmetic it computes in. */
  get precision(): Precision {
    return this.#model.device.precision;
  }

  /** Worker threads on the CPU. */
  get threads(): number {
    return this.#model.device.threads;
  }

  /** How it was trained last, or the method of the adapter it was loaded with; null for a plain checkpoint. */
  get method(): Method | null {
    return this.#model.method;
  }

  /** Whether it was trained last on pairs of texts; null where that is not known, as of a checkpoint made elsewhere. */
  get pairs(): boolean | null {
    return this.#model.pairs;
  }

  /** Longest text in tokens that it takes, special ones included; longer ones are cut. */
  get maxLength(): number {
    return this.#model.longest();
  }

  /** Classifies a text, as one of several. */
  predict(text: string, options?: PredictOptions): Promise<[Prediction]>;
  /**
   * Classifies texts. Calls may overlap, also with training.
   *
   * @param texts one or several, or an array of pairs `[[text, pair], ...]`; longer ones than the model takes are cut
   * @returns one prediction a text, in their order; of the classes of its adapter
   * @throws BertuneError INVALID_OPTION; INVALID_DATA for single texts where pairs were trained on, or the reverse;
   *   NOT_FOUND for an adapter that is not loaded; NON_FINITE_LOGITS naming the text; ABORTED, DISPOSED, OUT_OF_MEMORY
   */
  predict(texts: string | readonly TextInput[], options?: PredictOptions): Promise<Prediction[]>;
  async predict(texts: string | readonly TextInput[], options: PredictOptions = {}): Promise<Prediction[]> {
    return this.#withRows(texts, options, ({ signal, ...rows }) => predictionsOf(rows, signal));
  }

  /**
   * Scores of texts before softmax. Calls may overlap, also with training.
   *
   * @param texts as in `predict`
   * @throws BertuneError INVALID_OPTION, also where texts are given to adapters of other classes or of another order of them;
   *   INVALID_DATA as in `predict`; NOT_FOUND for an adapter that is not loaded; NON_FINITE_LOGITS naming the text; ABORTED,
   *   DISPOSED, OUT_OF_MEMORY
   */
  async logits(texts: string | readonly TextInput[], options: PredictOptions = {}): Promise<Logits> {
    return this.#withRows(texts, options, flattened, { sameLabels: true });
  }

  /**
   * Does something with the logits of each text. Adapters are held until it is done: who unloads one waits for the whole
   * call.
   *
   * @param sameLabels whether all have to have the same classes, in one order
   */
  async #withRows<T>(
    texts: unknown,
    given: PredictOptions,
    finish: (rows: Rows) => Promise<T>,
    { sameLabels = false } = {},
  ): Promise<T> {
    const options = expectObject('options', given, ['batchTokens', 'maxLength', 'signal', 'adapter', 'textKind']);
    const batchTokens = expectPositiveInteger('batchTokens', options.batchTokens ?? DEFAULT_BATCH_TOKENS);
    const signal = options.signal === undefined ? undefined : expectAbortSignal('signal', options.signal);
    const maxLength = options.maxLength ?? null;
    const kind = expectTextKind(options.textKind);
    const inputs = expectTexts(texts);
    const count = inputs.texts.length;
    const names = expectAdapterNames(options.adapter ?? null, count);
    const model = this.#model;
    if (names.every((name) => name === null)) {
      const longest = model.expectMaxLength(maxLength);
      throwIfAborted(signal);
      if (kind === 'trained') model.expectTrainedKind(inputs);
      return finish(await this.#ownRows(inputs, longest, batchTokens, signal));
    }
    throwIfAborted(signal);
    return model.withAdapters(names, async ({ adapters, labelsOf, encode, forward }) => {
      if (kind === 'trained') model.expectTrainedKind(inputs, adapters);
      if (sameLabels) expectSameLabels(count, labelsOf);
      const encoded = await encode(inputs, maxLength, signal);
      const rows = await forward(encoded, batchTokens, signal);
      return finish({ count: rows.length, row: (i) => rows[i]!, labelsOf, signal });
    });
  }

  async #ownRows(
    inputs: TextInputs,
    maxLength: number,
    batchTokens: number,
    signal: AbortSignal | undefined,
  ): Promise<Rows> {
    const { labels } = this;
    const labelsOf = () => labels;
    const classes = labels.length;
    const flatten = (logits: Values): Rows => {
      const row = (i: number) => logits.subarray(i * classes, (i + 1) * classes);
      return { count: inputs.texts.length, row, labelsOf, flat: { logits, classes, labels }, signal };
    };
    if (inputs.texts.length === 0) return flatten(new Float32Array(0));
    const encoded = await this.#model.encode(inputs, maxLength, signal);
    return flatten(await this.#model.forward(encoded, batchTokens, signal));
  }

  /** The adapters that `loadAdapter` loaded, in that order. Empty once the model is disposed. */
  get adapters(): AdapterInfo[] {
    return this.#model.adapters;
  }

  /**
   * Loads a LoRA or prefix adapter beside the model, for `predict` and `logits` to use by its name: many adapters share one
   * base, and a batch may mix them. An adapter without a classifier takes the model's. It changes nothing of the model;
   * a Trainer that trains the model neither uses nor trains it, and releases it when it begins.
   *
   * @param name to be used by
   * @param directory of an adapter in PEFT's format, or its id on the hub; for a base of this model's dimensions. That it was trained on this
   *   very base cannot be checked.
   * @returns what it is
   * @throws BertuneError INVALID_OPTION, also where the name is taken or the model is in training; NOT_FOUND,
   *   CHECKPOINT_INVALID, SHAPE_MISMATCH for the files; ABORTED, DISPOSED, OUT_OF_MEMORY
   */
  async loadAdapter(name: string, directory: string, options: LoadAdapterOptions = {}): Promise<AdapterInfo> {
    expectString('name', name);
    expectPath('directory', directory);
    const given = expectObject('options', options, ['labels', 'signal']);
    const labels = given.labels === undefined ? undefined : expectNames('labels', given.labels);
    const signal = given.signal === undefined ? undefined : expectAbortSignal('signal', given.signal);
    return this.#model.loadAdapter(name, directory, labels, signal);
  }

  /**
   * Takes an adapter away. Its name is free at once; its memory is given back when the calls that use it have ended, which
   * the promise waits for.
   *
   * @throws BertuneError NOT_FOUND listing the adapters there are; INVALID_OPTION, DISPOSED
   */
  async unloadAdapter(name: string): Promise<void> {
    await this.#model.unloadAdapter(expectString('name', name));
  }

  /**
   * Saves the model with its tokenizer: as a PEFT adapter after lora or prefix, as a Hugging Face checkpoint otherwise.
   * Where the weights under an adapter are not those of the base it was loaded from, they are saved beside it in `base/`.
   * A model in training can be saved into its run's `outputDirectory`, in turn with the run's checkpoints; a directory that
   * is in use by anything else is refused.
   *
   * @param directory made where needed
   * @throws BertuneError OUTPUT_REFUSED, INVALID_OPTION, DISPOSED
   */
  async save(directory: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this.#model, directory, options).catch(keptInMemory);
  }

  /**
   * Saves the model as a plain Hugging Face checkpoint, which needs no adapter and no base: the updates of a LoRA adapter
   * are added to the weights. The model itself stays as it is.
   *
   * @param directory made where needed
   * @throws BertuneError INVALID_OPTION for a model with a prefix adapter, which no plain checkpoint can hold;
   *   OUTPUT_REFUSED, DISPOSED
   */
  async export(directory: string, options: SaveOptions = {}): Promise<void> {
    await exportModel(this.#model, directory, options).catch(keptInMemory);
  }

  /** Whether a LoRA adapter is folded into the weights. */
  get merged(): boolean {
    return this.#model.unmerged !== null;
  }

  /**
   * Folds the LoRA adapter into the weights, W + alpha / rank · B A, so that predictions cost what the base alone does.
   * `save` still writes the adapter; training needs `unmerge` first. Keeps the weights that it changes in JavaScript's
   * memory, and for the moment of the change a second copy of the model. Does nothing where it is merged already.
   *
   * Predictions stay within rounding: 1e-5 in fp32. In bf16 the merged weights are rounded to bf16.
   *
   * @throws BertuneError INVALID_OPTION without a LoRA adapter, with others beside the model, or in training; OUT_OF_MEMORY, DISPOSED
   */
  async merge(): Promise<void> {
    await mergeAdapter(this.#model);
  }

  /**
   * Takes a merged adapter out again; every weight is, bit for bit, what it was. Does nothing where none is merged.
   *
   * @throws BertuneError INVALID_OPTION in training, OUT_OF_MEMORY, DISPOSED
   */
  async unmerge(): Promise<void> {
    await unmergeAdapter(this.#model);
  }

  /** Bytes that the model takes now, by kind, and at most so far. */
  memory(): MemoryReport {
    return memoryReport(this.#model.session);
  }

  /** Name, shape, trainable and decay of every parameter, as the model was shaped last. */
  parameters(): NativeParameterInfo[] {
    return this.#model.session.plan.parameters.map(({ name, shape, trainable, decay }) => {
      return { name, shape: [...shape], trainable, decay: trainable && decay };
    });
  }

  /**
   * A copy of a parameter's values, row-major. Names are those of `parameters()`.
   *
   * @throws BertuneError NOT_FOUND, DISPOSED
   */
  async parameter(name: string): Promise<Values> {
    return this.#model.session.read(expectString('name', name));
  }

  /** How many parameters there are, and how many trained last. */
  countParameters(): ParameterCounts {
    return countPlan(this.#model.session.plan);
  }

  /** Frees the memory after the work that is under way. Later calls reject with DISPOSED. Safe to call twice. */
  async dispose(): Promise<void> {
    await this.#model.dispose();
  }

  /** The same as `dispose()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** Throws the error again; of a disk that failed, with what is not lost. */
function keptInMemory(cause: unknown): never {
  if (!(cause instanceof BertuneError) || cause.code !== 'OUTPUT_REFUSED' || cause.cause === undefined) throw cause;
  throw new BertuneError(cause.code, `${cause.message}. The model is still in memory: save it elsewhere`, { cause });
}

/** Rows, which are all of one array where they belong to the model itself. */
interface Rows extends LogitRows {
  flat?: Logits;
  signal: AbortSignal | undefined;
}

/** Rows of one width in one array. */
async function flattened({ count, row, labelsOf, flat, signal }: Rows): Promise<Logits> {
  const classes = flat?.classes ?? row(0).length;
  const slice = new TimeSlice(signal);
  const logits = flat?.logits ?? new (row(0) instanceof Float64Array ? Float64Array : Float32Array)(count * classes);
  for (let i = 0; i < count; i++) {
    expectFiniteLogits(row(i), classes, i);
    if (!flat) logits.set(row(i), i * classes);
    if (slice.isOver) await slice.next();
  }
  return { logits, classes, labels: labelsOf(0) };
}

function expectSameLabels(texts: number, labelsOf: LogitRows['labelsOf']): void {
  const labels = labelsOf(0);
  for (let i = 1; i < texts; i++) {
    const others = labelsOf(i);
    if (others === labels || (others.length === labels.length && others.every((label, c) => label === labels[c])))
      continue;
    throw new BertuneError(
      'INVALID_OPTION',
      `The columns of logits are the same classes for every text, but those of texts[0] are ${listLabels(labels)} and those ` +
        `of texts[${i}] ${listLabels(others)}; predict takes them together`,
    );
  }
}

import type { ModelConfig } from '../architectures/index.js';
import type { Split } from '../data/types.js';
import { BertuneError } from '../errors.js';
import type { DirectoryLock } from '../files/lock.js';
import { countPlan, definitionOf, type Method, type MethodPlan, type ParameterCounts } from '../methods/index.js';
import type { NativeParameterInfo, NativeSession } from '../native/index.js';
import type { LongTexts } from '../options/long-texts.js';
import {
  expectAbortSignal,
  expectNames,
  expectObject,
  expectPath,
  expectString,
  invalidOption,
} from '../options/validation.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { type DefaultTask, type TaskKind, taskOf } from '../tasks/index.js';
import { expectScores, type Prediction, predictionsOf } from '../tasks/prediction.js';
import { throwIfAborted } from '../time-slice.js';
import type { EncodedTexts, Tokenizer } from '../tokenizer/index.js';
import {
  type AdapterInfo,
  type LoadAdapterOptions,
  type NamedAdapter,
  NamedAdapters,
  readForModel,
} from './adapters.js';
import type { Base } from './base.js';
import { longestFirst, packBatches } from './batches.js';
import type { MeasuredFacts, TrainingFacts } from './card.js';
import type { Device, Precision, ResolvedDevice } from './device.js';
import { type EmbedOptions, embedTexts } from './embedding.js';
import { evaluateModel } from './evaluation.js';
import { forwardBatches, predictBatch } from './forward.js';
import { type LoadOptions, loadModel, type ModelParts } from './load.js';
import { flattened, type Logits, withLogits } from './logits.js';
import { mergeAdapter, type Unmerged, unmergeAdapter } from './merge.js';
import {
  type EvaluateOptions,
  evaluationOptions,
  type LogitsCallOptions,
  logitsOptions,
  type OwnPredictOptions,
  type PredictOptions,
  predictOptions,
} from './predict-options.js';
import { exportModel, exportOnnx, type OnnxOptions, type SaveOptions, saveModel } from './save.js';
import { datasetOf, type MemoryReport, memoryReport, Session, type Values } from './session.js';
import { type StreamOptions, streamBatches, streamOptions } from './stream.js';
import { expectTexts, longestText, type TextInput } from './texts.js';

export type {
  ClassPrediction,
  LabelsPrediction,
  PredictionExtras,
  Predictions,
  RankedLabel,
  ValuePrediction,
} from '../tasks/index.js';
export type { Prediction } from '../tasks/prediction.js';
export type { AdapterChoice, AdapterInfo, LoadAdapterOptions } from './adapters.js';
export type { CardOptions } from './card-file.js';
export type { EmbedOptions } from './embedding.js';
export type { HeadChoice } from './head.js';
export type { LoadOptions } from './load.js';
export type { Logits } from './logits.js';
export type { EvaluateOptions, LogitsCallOptions, OwnPredictOptions, PredictOptions } from './predict-options.js';
export type { OnnxOptions, SaveOptions } from './save.js';
export type { StreamOptions } from './stream.js';
export type { TextInput, TextKind } from './texts.js';

/** What a model's card says of its training. */
interface TrainedFacts {
  facts: TrainingFacts;
  measured: MeasuredFacts | null;
}

/**
 * A text classifier or regression model: loads checkpoints and adapters, predicts, saves. A Trainer trains it in place. Its
 * memory lies outside JavaScript's heap: call `dispose()` or declare it with `await using`.
 *
 * @typeParam Kind the task
 * @typeParam Label the names of the labels
 */
export class TextClassifier<Kind extends TaskKind = DefaultTask, Label extends string = string>
  implements AsyncDisposable
{
  /** Names of the classes, in the order of the logits. */
  readonly labels: readonly Label[];
  /** The model's dimensions and the rest of its config.json. */
  readonly config: ModelConfig;
  /** Remarks about how it was loaded, e.g. that its classifier is new. */
  readonly notes: readonly string[];
  /** What its labels are for. */
  readonly task: Kind;
  /** @internal */
  readonly tokenizer: Tokenizer;
  /** @internal Where and how it computes. */
  readonly where: ResolvedDevice;
  /** @internal */
  readonly base: Base;
  /** @internal Of the directory that a run writes to; null while there is no run. Saves take turns under it. */
  outputLock: DirectoryLock | null = null;
  #method: Method | null;
  #pairs: boolean | null;
  #thresholds: Readonly<Record<string, number>> | null;
  #temperature: number | null;
  #longTexts: LongTexts | null;
  #training: TrainedFacts | null = null;
  #session: Session;
  #unmerged: Unmerged | null = null;
  /** Of the session, and gone with it. */
  #adapters: NamedAdapters;
  #busy = false;
  #disposal: Promise<void> | undefined;

  private constructor(parts: ModelParts) {
    this.labels = parts.labels as readonly Label[];
    this.config = Object.freeze(parts.config);
    this.notes = parts.notes;
    this.task = parts.task as Kind;
    this.tokenizer = parts.tokenizer;
    this.where = parts.device;
    this.base = parts.base;
    this.#method = parts.method;
    this.#pairs = parts.pairs;
    this.#thresholds = parts.thresholds;
    this.#temperature = parts.temperature;
    this.#longTexts = parts.longTexts;
    this.#session = parts.session;
    this.#adapters = new NamedAdapters(parts.session);
  }

  /**
   * Loads a checkpoint, or an adapter together with its base checkpoint.
   *
   * @param source directory of a Hugging Face checkpoint, or of a LoRA or prefix adapter in PEFT's format; or the id
   *   of either on the Hugging Face hub: `name`, `org/name` or `org/name@revision`
   * @typeParam Kind the task, for the types of predictions and evaluations. TypeScript infers it from `options.task`; otherwise it
   *   assumes single-label
   * @typeParam Label the names of the labels, for the types of predictions. TypeScript infers them from `options.labels` if
   *   they are written in the call or `as const`; otherwise they are any strings
   * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID, SHAPE_MISMATCH for the files; HUB_UNAVAILABLE, HUB_ACCESS,
   *   OUTPUT_REFUSED (the cache) for the hub; INVALID_OPTION; ABORTED; CUDA_UNAVAILABLE; OUT_OF_MEMORY; NATIVE_UNAVAILABLE
   */
  static load<Kind extends TaskKind = DefaultTask, const Label extends string = string>(
    source: string,
    options?: LoadOptions<Kind, Label> & {
      /** These leave the labels as they are given. */ head?: 'keep' | 'new' | undefined;
    },
  ): Promise<TextClassifier<Kind, Label>>;
  static load<Kind extends TaskKind = DefaultTask>(
    source: string,
    options?: LoadOptions<Kind>,
  ): Promise<TextClassifier<Kind>>;
  static async load<Kind extends TaskKind = DefaultTask>(
    source: string,
    options: LoadOptions<Kind> = {},
  ): Promise<TextClassifier<Kind>> {
    return new TextClassifier(await loadModel(source, options));
  }

  /** The device it computes on. */
  get device(): Exclude<Device, 'auto'> {
    const [kind, ordinal] = this.where.device.split(':');
    if (kind === 'cpu') return 'cpu';
    return ordinal === undefined ? 'cuda' : `cuda:${Number(ordinal)}`;
  }

  /** The arithmetic it computes in. */
  get precision(): Precision {
    return this.where.precision;
  }

  /** Worker threads on the CPU. */
  get threads(): number {
    return this.where.threads;
  }

  /** How it was last trained, or the method of the adapter it was loaded with; null for a plain checkpoint. */
  get method(): Method | null {
    return this.#method;
  }

  /** Whether it was last trained on pairs of texts; null if unknown, as for a checkpoint made elsewhere. */
  get pairs(): boolean | null {
    return this.#pairs;
  }

  /** Scores above which a label is predicted, by label, as tuned in training; null if none were, which means 0.5. */
  get thresholds(): Readonly<Record<string, number>> | null {
    return this.#thresholds;
  }

  /** The temperature that logits are divided by before they become scores, as fitted by `calibrate`; null if there is none. */
  get temperature(): number | null {
    return this.#temperature;
  }

  /** How long texts were read in training, which predictions repeat; null: they are truncated as the tokenizer does. */
  get longTexts(): LongTexts | null {
    return this.#longTexts;
  }

  /** Longest text in tokens, including special ones; longer texts are truncated, or read in windows. */
  get maxLength(): number {
    return longestText(this, this.session.plan);
  }

  /** Classifies one text. */
  predict(text: string, options?: OwnPredictOptions): Promise<[Prediction<Kind, Label>]>;
  predict(text: string, options?: PredictOptions): Promise<[Prediction<Kind>]>;
  /**
   * Classifies texts. Calls may overlap, also with training.
   *
   * @param texts one or several, or an array of pairs `[[text, pair], ...]`; texts beyond the model's limit are truncated
   * @returns one prediction per text, in order, with the classes of its adapter
   * @throws BertuneError INVALID_OPTION; INVALID_DATA for single texts if the model was trained on pairs, or the reverse;
   *   NOT_FOUND for an adapter that is not loaded; NON_FINITE_LOGITS naming the text; ABORTED, DISPOSED, OUT_OF_MEMORY
   */
  predict(texts: string | readonly TextInput[], options?: OwnPredictOptions): Promise<Prediction<Kind, Label>[]>;
  predict(texts: string | readonly TextInput[], options?: PredictOptions): Promise<Prediction<Kind>[]>;
  async predict(texts: string | readonly TextInput[], options: PredictOptions = {}): Promise<Prediction<Kind>[]> {
    const inputs = expectTexts(texts);
    const given = predictOptions(options, inputs.texts.length);
    const predictions = withLogits(this, inputs, given, (rows) => predictionsOf(rows, given, given.signal));
    return predictions as Promise<Prediction<Kind>[]>;
  }

  /**
   * Classifies a stream of texts of any length: `for await (const prediction of model.predictStream(texts))`. Texts are read
   * one batch at a time, and the next batch only once the previous predictions have been consumed, so that memory holds one
   * batch and a slow reader slows its source down. Leaving the loop closes the source.
   *
   * @param texts an array, a generator, or any other source of texts or pairs
   * @returns one prediction per text, in order
   * @throws BertuneError as `predict`, with the place of the text in the stream; what the source throws
   */
  predictStream(
    texts: Iterable<TextInput> | AsyncIterable<TextInput>,
    options?: StreamOptions,
  ): AsyncGenerator<Prediction<Kind, Label>, void, undefined>;
  async *predictStream(
    texts: Iterable<TextInput> | AsyncIterable<TextInput>,
    options: StreamOptions = {},
  ): AsyncGenerator<Prediction<Kind>, void, undefined> {
    const { batchSize, onProgress, ...others } = streamOptions(options);
    const given = predictOptions(others, 1);
    expectScores(this, given);
    for await (const { inputs, first } of streamBatches(texts, batchSize, given.signal)) {
      const adapters = inputs.texts.map(() => given.adapters[0]!);
      const predictions = await withLogits(this, inputs, { ...given, adapters }, (rows) =>
        predictionsOf({ ...rows, first }, given, given.signal),
      );
      yield* predictions as Prediction<Kind>[];
      onProgress?.({ texts: first + predictions.length });
    }
  }

  /**
   * Scores of texts before temperature, softmax and sigmoid; for a regression model, its values. Calls may overlap, also with
   * training.
   *
   * @param texts as in `predict`
   * @throws BertuneError INVALID_OPTION, also if the texts' adapters have different classes or a different order of them;
   *   INVALID_DATA as in `predict`; NOT_FOUND for an adapter that is not loaded; NON_FINITE_LOGITS naming the text; ABORTED,
   *   DISPOSED, OUT_OF_MEMORY
   */
  async logits(texts: string | readonly TextInput[], options: LogitsCallOptions = {}): Promise<Logits> {
    const inputs = expectTexts(texts);
    const given = logitsOptions(options, inputs.texts.length);
    return withLogits(this, inputs, { ...given, sameLabels: true }, (rows) => flattened(rows, given.signal));
  }

  /** Embeds one text. */
  embed(text: string, options?: EmbedOptions): Promise<[Float32Array]>;
  /**
   * Embeds texts: the encoder's output for their tokens, with the model's own adapter, pooled to one vector per text. In fp32 it is
   * transformers' `last_hidden_state` pooled over the attention mask, within 1e-5. Calls may overlap, also with training.
   *
   * @param texts as in `predict`, of any kind
   * @returns one array of `config.hiddenSize` values per text, in order
   * @throws BertuneError INVALID_OPTION, INVALID_DATA, ABORTED, DISPOSED, OUT_OF_MEMORY
   */
  embed(texts: string | readonly TextInput[], options?: EmbedOptions): Promise<Float32Array[]>;
  async embed(texts: string | readonly TextInput[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    return embedTexts(this, expectTexts(texts), options);
  }

  /**
   * Measures the model, or one of its loaded adapters, on a split. Labels are matched by name, in whatever order either has
   * them. The loss is the plain one; that of a Trainer's `evaluate` includes its class weights and label smoothing.
   *
   * @param split the split to measure; undefined, as `data.test` can be, is refused with advice on how to get one
   * @throws BertuneError INVALID_DATA, also for labels that the model does not have, and for pairs if it was trained on
   *   single texts, or the reverse; NOT_FOUND for an adapter that is not loaded; INVALID_OPTION, NON_FINITE_LOGITS, ABORTED,
   *   DISPOSED, OUT_OF_MEMORY
   */
  async evaluate(split: Split | undefined, options: EvaluateOptions = {}): Promise<EvaluateResult<Kind>> {
    return evaluateModel(this, split, evaluationOptions(options)) as Promise<EvaluateResult<Kind>>;
  }

  /** The loaded adapters, in the order of loading. Empty once the model is disposed. */
  get adapters(): AdapterInfo[] {
    return this.#disposal ? [] : this.#adapters.list;
  }

  /**
   * Loads a LoRA or prefix adapter on top of the model, for `predict` and `logits` to use by name: many adapters share one
   * base, and a batch can mix them. An adapter without a classifier uses the model's. The model itself does not change;
   * a Trainer neither uses nor trains the adapter, and releases it when training begins.
   *
   * @param name the name to use it by
   * @param directory of an adapter in PEFT's format, or its id on the hub; for a base of this model's dimensions. Whether it
   *   was trained on this very base cannot be checked.
   * @returns a description of the adapter
   * @throws BertuneError INVALID_OPTION, also if the name is taken or the model is in training; NOT_FOUND,
   *   CHECKPOINT_INVALID, SHAPE_MISMATCH for the files; ABORTED, DISPOSED, OUT_OF_MEMORY
   */
  async loadAdapter(name: string, directory: string, options: LoadAdapterOptions = {}): Promise<AdapterInfo> {
    expectString('name', name);
    expectPath('directory', directory);
    const given = expectObject('options', options, ['labels', 'signal']);
    const labels = given.labels === undefined ? undefined : expectNames('labels', given.labels);
    const signal = given.signal === undefined ? undefined : expectAbortSignal('signal', given.signal);
    this.expectUsable();
    const adapters = this.#adapters;
    this.#expectIdle(adapters);
    if (this.#unmerged) {
      throw new BertuneError(
        'INVALID_OPTION',
        "The model's own adapter is merged into the base that other adapters need; call unmerge() first",
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

  /**
   * Unloads an adapter. Its name is free at once; its memory is freed when the calls that use it have ended, which
   * the promise waits for.
   *
   * @throws BertuneError NOT_FOUND listing the loaded adapters; INVALID_OPTION, DISPOSED
   */
  async unloadAdapter(name: string): Promise<void> {
    expectString('name', name);
    this.expectUsable();
    await this.#adapters.unload(name);
  }

  /**
   * Saves the model with its tokenizer: as a PEFT adapter after lora or prefix, as a Hugging Face checkpoint otherwise.
   * If the weights under an adapter are not those of the base it was loaded from, they are saved with it, in `base/`.
   * A model in training can be saved into its run's `outputDirectory`, taking turns with the run's checkpoints; a directory
   * in use by anything else is refused.
   *
   * A card, README.md, is saved with it: base, method, settings and metrics, as far as they are known. A card that you wrote or
   * edited stays as it is: generated ones end with a hash of their contents.
   *
   * @param directory created if it does not exist
   * @throws BertuneError OUTPUT_REFUSED, INVALID_OPTION, DISPOSED
   */
  async save(directory: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this, directory, options).catch(keptInMemory);
  }

  /**
   * Saves the model as a plain Hugging Face checkpoint, which needs no adapter and no base: the updates of a LoRA adapter
   * are added to the weights. The model itself does not change.
   *
   * @param directory created if it does not exist
   * @throws BertuneError INVALID_OPTION for a model with a prefix adapter, which a plain checkpoint cannot contain;
   *   OUTPUT_REFUSED, DISPOSED
   */
  async export(directory: string, options: SaveOptions = {}): Promise<void> {
    await exportModel(this, directory, options).catch(keptInMemory);
  }

  /**
   * Writes the model for ONNX Runtime, in the folder that transformers.js loads, in browsers and in Node: onnx/model.onnx
   * (fp32) and onnx/model_quantized.onnx (int8), tokenizer.json, tokenizer_config.json, special_tokens_map.json, config.json. A
   * LoRA adapter is added to the weights, a prefix becomes part of the graph. The model itself does not change.
   *
   * The graph's inputs are input_ids, attention_mask and, for models with segments, token_type_ids, each (texts, tokens) int64 and
   * padded to the longest text. Its output is logits (texts, labels): in fp32 those of `logits`, divided by the
   * `temperature` if there is one, within rounding, so that their softmax or sigmoid is what `predict` returns.
   *
   * @param directory created if it does not exist
   * @throws BertuneError OUTPUT_REFUSED, also if the directory holds a checkpoint or an adapter; INVALID_OPTION, DISPOSED
   */
  async exportOnnx(directory: string, options: OnnxOptions = {}): Promise<void> {
    await exportOnnx(this, directory, options).catch(keptInMemory);
  }

  /** Whether a LoRA adapter is folded into the weights. */
  get merged(): boolean {
    return this.#unmerged !== null;
  }

  /**
   * Folds the LoRA adapter into the weights, W + alpha / rank · B A (of DoRA with the trained lengths of rows), so that predictions cost no more than the base alone.
   * `save` still writes the adapter; training needs `unmerge` first. Keeps a copy of the changed weights in JavaScript's
   * memory, and briefly a second copy of the model. Does nothing if it is merged already.
   *
   * Predictions stay within rounding: 1e-5 in fp32. In bf16 the merged weights are rounded to bf16.
   *
   * @throws BertuneError INVALID_OPTION without a LoRA adapter, with other adapters loaded, or in training; OUT_OF_MEMORY, DISPOSED
   */
  async merge(): Promise<void> {
    await mergeAdapter(this);
  }

  /**
   * Takes a merged adapter out again; every weight is restored bit for bit. Does nothing if none is merged.
   *
   * @throws BertuneError INVALID_OPTION in training, OUT_OF_MEMORY, DISPOSED
   */
  async unmerge(): Promise<void> {
    await unmergeAdapter(this);
  }

  /** Bytes in use by the model, by kind, and the peak so far. */
  memory(): MemoryReport {
    return memoryReport(this.session);
  }

  /** Name, shape, trainable and decay of every parameter, as of the last training. */
  parameters(): NativeParameterInfo[] {
    return this.session.plan.parameters.map(({ name, shape, trainable, decay }) => {
      return { name, shape: [...shape], trainable, decay: trainable && decay };
    });
  }

  /**
   * A copy of a parameter's values, row-major. Names are those of `parameters()`.
   *
   * @throws BertuneError NOT_FOUND, DISPOSED
   */
  async parameter(name: string): Promise<Values> {
    return this.session.read(expectString('name', name));
  }

  /** How many parameters there are, and how many were last trained. */
  countParameters(): ParameterCounts {
    return countPlan(this.session.plan);
  }

  /** Frees the memory once work in progress has finished. Later calls reject with DISPOSED. Safe to call twice. */
  async dispose(): Promise<void> {
    this.#disposal ??= this.#session.retire();
    await this.#disposal;
  }

  /** The same as `dispose()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** @internal @throws BertuneError DISPOSED */
  get session(): Session {
    this.expectUsable();
    return this.#session;
  }

  /** @internal What it was before its adapter was merged into the weights; null where none is. */
  get unmerged(): Unmerged | null {
    return this.#unmerged;
  }

  /** @internal How it was trained here last, for its card; null: it was not. */
  get training(): TrainedFacts | null {
    return this.#training;
  }

  /** @internal Takes what its card is to say of how it was trained. */
  keepTraining(training: TrainedFacts): void {
    this.#training = training;
  }

  /** @internal Takes thresholds and a temperature that were fitted to its parameters as they are. */
  keepDecision({ thresholds, temperature }: Pick<ModelParts, 'thresholds' | 'temperature'>): void {
    this.#thresholds = thresholds;
    this.#temperature = temperature;
  }

  /** @internal @throws BertuneError DISPOSED */
  expectUsable(): void {
    if (this.#disposal) throw new BertuneError('DISPOSED', 'The model has been disposed; load it again');
  }

  /**
   * @internal
   * Logits (N, NC) of texts that are already token ids, by the model itself, and how many batches they made.
   *
   * @throws BertuneError ABORTED, DISPOSED, OUT_OF_MEMORY
   */
  async forward(
    encoded: EncodedTexts,
    batchTokens: number,
    signal?: AbortSignal,
  ): Promise<{ logits: Values; batches: number }> {
    const { session } = this;
    throwIfAborted(signal);
    const dataset = datasetOf(encoded);
    const plan = packBatches(encoded.offsets, longestFirst(encoded.offsets), batchTokens);
    const batches = plan.starts.length - 1;
    if (batches === 0) return { logits: new Float32Array(0), batches };
    const logits = await (batches === 1
      ? session.use((native) => predictBatch(native, dataset, plan))
      : session.withDataset(dataset, (handle, native) => forwardBatches(native, handle, plan, signal)));
    return { logits, batches };
  }

  /**
   * @internal
   * Holds adapters, which are not unloaded, while `work` uses them on one and the same session, even where the model is
   * trained or disposed meanwhile.
   *
   * @param names of each text's adapter (N); null: the model as it was loaded
   * @throws BertuneError NOT_FOUND listing the loaded adapters; DISPOSED; what `work` throws
   */
  async withAdapters<T>(
    names: readonly (string | null)[],
    work: (adapters: readonly (NamedAdapter | null)[], native: NativeSession, plan: MethodPlan) => Promise<T>,
  ): Promise<T> {
    const { session } = this;
    return this.#adapters.hold(names, (adapters) => session.use((native) => work(adapters, native, session.plan)));
  }

  /** @internal Whether an adapter that is held can still be used: not once the model was trained, merged or disposed. */
  has(adapter: NamedAdapter): boolean {
    return adapter.session === this.#session && !this.#disposal;
  }

  /**
   * @internal
   * Keeps others from replacing the session while `work` runs.
   *
   * @throws BertuneError INVALID_OPTION while the model is trained or merged already, DISPOSED
   */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) {
      throw new BertuneError(
        'INVALID_OPTION',
        'The model is being trained, merged or unmerged; wait until that is done',
      );
    }
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }

  /**
   * @internal
   * Replaces the session. On failure the model stays as it was.
   *
   * @param plan of the new one
   * @param fill gives every parameter of the new session its values
   * @param becomes what else the model is from then on
   * @param made the new one. Defaults to one that is made now
   * @throws BertuneError OUT_OF_MEMORY, DISPOSED
   */
  async exchange(
    plan: MethodPlan,
    fill: (next: Session, old: Session) => Promise<void>,
    becomes: (Pick<ModelParts, 'longTexts'> & { method: Method; pairs: boolean }) | { unmerged: Unmerged | null },
    made?: Session,
  ): Promise<Session> {
    const old = this.session;
    const next = made ?? (await Session.create(this.config, plan, this.where, taskOf(this.task).loss));
    try {
      await fill(next, old);
      this.expectUsable();
    } catch (cause) {
      await next.retire();
      throw cause;
    }
    this.#session = next;
    this.#adapters = new NamedAdapters(next);
    if ('unmerged' in becomes) {
      this.#unmerged = becomes.unmerged;
    } else {
      this.#method = becomes.method;
      this.#pairs = becomes.pairs;
      this.#longTexts = becomes.longTexts;
      this.keepDecision({ thresholds: null, temperature: null });
      this.#training = null;
      const isInAdapter = definitionOf(becomes.method.kind).adapter !== null;
      const trainsEncoder = plan.parameters.some(({ group, trainable }) => trainable && group === 'encoder');
      if (trainsEncoder && !isInAdapter) this.base.intact = false;
    }
    await old.retire();
    return next;
  }

  /** @throws BertuneError INVALID_OPTION while the model trains, or once it has since `adapters` were its own */
  #expectIdle(adapters: NamedAdapters): void {
    if (!this.#busy && this.#adapters === adapters) return;
    throw new BertuneError('INVALID_OPTION', 'The model is being trained; load adapters before or after that');
  }
}

/** A classifier of whatever task. */
export type AnyClassifier = TextClassifier<TaskKind>;

/** @throws BertuneError INVALID_OPTION unless the value is a TextClassifier */
export function expectClassifier(name: string, value: unknown): AnyClassifier {
  if (value instanceof TextClassifier) return value;
  if ((value as object | null)?.constructor?.name !== TextClassifier.name)
    throw invalidOption(name, 'a TextClassifier', value);
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected a TextClassifier of this copy of bertune for ${name} but received one of another copy; \`npm ls bertune\` shows them`,
  );
}

/** Throws the error again; of a disk that failed, with what is not lost. */
function keptInMemory(cause: unknown): never {
  if (!(cause instanceof BertuneError) || cause.code !== 'OUTPUT_REFUSED' || cause.cause === undefined) throw cause;
  throw new BertuneError(cause.code, `${cause.message}. The model is still in memory: save it elsewhere`, { cause });
}

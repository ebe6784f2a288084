import type { BertConfig } from './checkpoint/config.js';
import { countPlan, type Method, type ParameterCounts } from './methods.js';
import { softmax } from './metrics.js';
import { DEFAULT_BATCH_TOKENS } from './model/batches.js';
import type { Device, Precision } from './model/device.js';
import { type LoadOptions, loadModel } from './model/load.js';
import { memoryReport } from './model/memory.js';
import type { Model } from './model/model.js';
import { saveModel } from './model/save.js';
import type { Values } from './model/session.js';
import type { NativeParameterInfo } from './native.js';
import { expectAbortSignal, expectObject, expectPositiveInteger, invalidOption } from './options.js';
import { TimeSlice, throwIfAborted } from './time-slice.js';
import type { MemoryReport } from './training/events.js';

export type { LoadOptions } from './model/load.js';

/** Options of `predict` and `logits`. */
export interface PredictOptions {
  /** Tokens a batch. Speed and memory depend on it, results only in their last bits. Defaults to 1024. */
  batchTokens?: number;
  /** Longest text in tokens, special ones included; the rest is cut. Defaults to what the model takes. */
  maxLength?: number;
  /** Stops the work within a fraction of a second. Defaults to none. */
  signal?: AbortSignal;
}

/** What a model makes of a text. */
export interface Prediction {
  /** The likeliest class. */
  label: string;
  /** Its probability. */
  score: number;
  /** The probability of every class; they sum to 1. */
  scores: Record<string, number>;
}

/** Scores before softmax. */
export interface Logits {
  /** (N, NC), row-major, in the order of the texts. Float64Array in fp64. */
  logits: Float32Array | Float64Array;
  /** NC */
  classes: number;
}

/** The model inside a classifier, for Trainers. Not public. */
export let modelOf: (classifier: TextClassifier) => Model;

/**
 * A BERT text classifier: loads checkpoints and adapters, predicts, saves. A Trainer trains it in place. Its memory lies
 * outside JavaScript's heap: call `dispose()` or declare it with `await using`.
 */
export class TextClassifier implements AsyncDisposable {
  readonly #model: Model;
  /** What is worth knowing about how it was loaded, e.g. that its classifier is new. */
  readonly notes: readonly string[];

  private constructor(model: Model, notes: readonly string[]) {
    this.#model = model;
    this.notes = notes;
  }

  static {
    modelOf = (classifier) => classifier.#model;
  }

  /**
   * Loads a checkpoint, or an adapter with the checkpoint it belongs on.
   *
   * @param directory of a Hugging Face BERT checkpoint, or of a LoRA or prefix adapter in PEFT's format
   * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID, SHAPE_MISMATCH for the files; INVALID_OPTION; CUDA_UNAVAILABLE;
   *   OUT_OF_MEMORY; NATIVE_UNAVAILABLE
   */
  static async load(directory: string, options: LoadOptions = {}): Promise<TextClassifier> {
    const { model, notes } = await loadModel(directory, options);
    return new TextClassifier(model, notes);
  }

  /** Names of the classes, in the order of the logits. */
  get labels(): readonly string[] {
    return this.#model.labels;
  }

  /** The model's dimensions and what else its config.json says. */
  get config(): BertConfig {
    return this.#model.config;
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

  /** Longest text in tokens that it takes, special ones included; longer ones are cut. */
  get maxLength(): number {
    return this.#model.longest();
  }

  /**
   * Classifies texts. Calls may overlap, also with training.
   *
   * @param texts one or several; longer ones than the model takes are cut
   * @returns one prediction a text, in their order
   * @throws BertuneError INVALID_OPTION, ABORTED, DISPOSED, OUT_OF_MEMORY
   */
  async predict(texts: string | readonly string[], options: PredictOptions = {}): Promise<Prediction[]> {
    const { logits } = await this.logits(texts, options);
    return predictionsOf(logits, this.labels, options.signal);
  }

  /**
   * Scores of texts before softmax. Calls may overlap, also with training.
   *
   * @param texts one or several; longer ones than the model takes are cut
   * @throws BertuneError INVALID_OPTION, ABORTED, DISPOSED, OUT_OF_MEMORY
   */
  async logits(texts: string | readonly string[], options: PredictOptions = {}): Promise<Logits> {
    expectObject('options', options, ['batchTokens', 'maxLength', 'signal']);
    const batchTokens = expectPositiveInteger('batchTokens', options.batchTokens ?? DEFAULT_BATCH_TOKENS);
    const signal = options.signal === undefined ? undefined : expectAbortSignal('signal', options.signal);
    const maxLength = this.#model.expectMaxLength(options.maxLength ?? null);
    const list = expectTexts(texts);
    throwIfAborted(signal);
    const classes = this.labels.length;
    if (list.length === 0) return { logits: new Float32Array(0), classes };
    const encoded = await this.#model.tokenizer.encodeTexts(list, maxLength, signal ? { signal } : {});
    return { logits: await this.#model.forward(encoded, batchTokens, signal), classes };
  }

  /**
   * Saves the model with its tokenizer: as a PEFT adapter after lora or prefix, as a Hugging Face checkpoint otherwise.
   * Where the weights under an adapter are not those of the base it was loaded from, they are saved beside it in `base/`.
   *
   * @param directory made where needed
   * @param options.overwrite whether a directory that is not empty will do. Defaults to false.
   * @throws BertuneError OUTPUT_REFUSED, INVALID_OPTION, DISPOSED
   */
  async save(directory: string, options: { overwrite?: boolean } = {}): Promise<void> {
    await saveModel(this.#model, directory, options);
  }

  /** Bytes that the model takes now, by kind, and at most so far. */
  memory(): MemoryReport {
    return memoryReport(this.#model.session);
  }

  /** Name, shape, trainable and decay of every parameter, as the model was shaped last. */
  parameters(): NativeParameterInfo[] {
    return this.#model.session.plan.parameters.map((row) => ({ ...row, shape: [...row.shape] }));
  }

  /**
   * A copy of a parameter's values, row-major. Names are those of `parameters()`.
   *
   * @throws BertuneError NOT_FOUND, DISPOSED
   */
  async parameter(name: string): Promise<Values> {
    return this.#model.session.read(name);
  }

  /** How many parameters there are, and how many trained last. */
  countParameters(): ParameterCounts {
    return countPlan(this.#model.session.plan);
  }

  /** Frees the memory after the work that is under way. Later calls reject with DISPOSED. Safe to call twice. */
  async dispose(): Promise<void> {
    await this.#model.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** What logits (N, NC) say of each text, in slices of time. Not public. */
export async function predictionsOf(
  logits: Values,
  labels: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Prediction[]> {
  const classes = labels.length;
  const predictions: Prediction[] = [];
  const slice = new TimeSlice(signal);
  for (let start = 0; start < logits.length; start += classes) {
    predictions.push(predictionOf(softmax(logits.subarray(start, start + classes), classes), labels));
    if (slice.isOver) await slice.next();
  }
  return predictions;
}

function predictionOf(scores: Float64Array, labels: readonly string[]): Prediction {
  let best = 0;
  for (let c = 1; c < scores.length; c++) if (scores[c]! > scores[best]!) best = c;
  return {
    label: labels[best]!,
    score: scores[best]!,
    scores: Object.fromEntries(labels.map((label, c) => [label, scores[c]!])),
  };
}

/** @throws INVALID_OPTION unless `texts` is a string or an array of strings. Not public. */
export function expectTexts(texts: unknown): readonly string[] {
  if (typeof texts === 'string') return [texts];
  if (!Array.isArray(texts)) throw invalidOption('texts', 'a string or an array of strings', texts);
  const odd = texts.findIndex((text) => typeof text !== 'string');
  if (odd >= 0) throw invalidOption(`texts[${odd}]`, 'a string', texts[odd]);
  return texts;
}

import { isMainThread } from 'node:worker_threads';
import { BertuneError, type ErrorCode } from '../errors.js';
import { type FoundAddon, findAddon, openAddon } from './addon.js';
import { packageVersion } from './package.js';
import type { Part, Role } from './roles.js';

/*
 * The one typed boundary between TypeScript and the native addon (native/addon). Plain numbers, strings and typed
 * arrays cross it. Everything is validated on this side before it crosses; the addon checks again only what would be
 * unsafe. Every promise is settled from the session's own native thread; the event loop does no arithmetic.
 */

/** Numbers of a session: Float64Array in fp64, Float32Array otherwise. */
export type Values = Float32Array | Float64Array;

/** Where arithmetic runs: 'cpu', 'cuda', or a device that `addDevice` named. Of several GPUs the second is 'cuda:1'. */
export type NativeDevice = 'cpu' | 'cuda' | (string & {});

/** Arithmetic of a session. `fp64` and `int8` exist on the CPU only: to check gradients, and to predict. */
export type NativePrecision = 'fp32' | 'fp64' | 'tf32' | 'bf16' | 'int8';

export type NativeActivation = 'gelu' | 'gelu_tanh' | 'tanh' | 'relu' | 'silu';

/** What the table of parameters does not show of a model. Its sizes are those of the table. */
export interface NativeModelConfig {
  /** NH: attention heads; divides the hidden size. */
  heads: number;
  /** Id of [PAD]: its word embedding row gets no gradient. −1 where there is none. */
  padTokenId: number;
  /** Row of the table of positions that a text's first token takes. */
  positionOffset: number;
  layerNormEps: number;
  /** Of the feed-forward part. */
  activation: NativeActivation;
  /** Behind the head's dense Linear. */
  headActivation: NativeActivation;
  /** Probabilities of dropping, in [0, 1). */
  embeddingDropout: number;
  attentionDropout: number;
  attentionOutputDropout: number;
  outputDropout: number;
  /** In front of the head's dense Linear, and in front of the classifier or the probe. */
  headInputDropout: number;
  headDropout: number;
  /** Inside the probe. */
  probeDropout: number;
}

/** What a module is to the model, and its layer; −1 outside of the layers. */
export interface NativeModule {
  role: Role;
  layer: number;
}

/** A row of the table of parameters. Query, key and value of a layer follow each other, weights and then biases. */
export interface NativeParameter extends NativeModule {
  name: string;
  part: Part;
  shape: number[];
  trainable: boolean;
  /** Whether weight decay applies. */
  decay: boolean;
  /** Its learning rate, times the step's. Defaults to 1. */
  rate?: number;
  /** Whose it is: see NativeSessionConfig.lora. Defaults to 0. */
  variant?: number;
}

/**
 * Low-rank updates: W x + b + scaling · B(A(dropout(x))), one for each module with rows lora_A and lora_B; with a row
 * lora_magnitude_vector it is DoRA's (native/core/backend.h).
 */
export interface NativeLoraConfig {
  modules: (NativeModule & { /** lora_alpha / rank */ scaling: number })[];
  dropout: number;
}

/** `binary_cross_entropy` is BCEWithLogitsLoss, `mean_squared_error` MSELoss; both are means over examples and labels. */
export type NativeLoss = 'cross_entropy' | 'binary_cross_entropy' | 'mean_squared_error';

export interface NativeSessionConfig {
  device: NativeDevice;
  precision: NativePrecision;
  /** Worker threads on the CPU, ≥ 1. */
  threads: number;
  model: NativeModelConfig;
  /** What training minimizes; see NativeDataset for what it needs. Defaults to 'cross_entropy'. */
  loss?: NativeLoss;
  /** Without trainable rows, for inference, no gradients and no moments are allocated. */
  parameters: NativeParameter[];
  /**
   * Of several there are as many variants: sets of low-rank updates and heads over the same frozen weights, which can train
   * together. Variant 0 has all rows; each other one has those of its updates and what else it does not share with variant 0.
   */
  lora: NativeLoraConfig | readonly NativeLoraConfig[] | null;
}

/** A parameter, as callers see it. Names are Hugging Face's, without PEFT's prefixes. */
export interface NativeParameterInfo {
  name: string;
  shape: number[];
  trainable: boolean;
  decay: boolean;
}

export type NativeDtype = 'F64' | 'F32' | 'F16' | 'BF16';

/** What to read of a parameter: its value, the gradient of the last backward pass, or AdamW's moments. */
export type NativeParameterPart = 'value' | 'gradient' | 'm' | 'v';

/**
 * How `initialize` fills a parameter: N(0, scale²), U(−scale, scale), or a constant, Philox-based, the same on every device; a
 * lora_magnitude_vector with the norms of its module's rows, whose parameters are there.
 */
export interface NativeInitializer {
  distribution: 'normal' | 'uniform' | 'constant' | 'row_norms';
  /** Standard deviation, bound, or the constant. */
  scale: number;
  /** Non-negative integer < 2^53. The parameter's name is mixed in, so one seed serves all parameters. */
  seed: number;
}

/** An adapter beside the session's own parameters, for inference: low-rank updates or a prefix, and a head. */
export interface NativeAdapterConfig {
  /** NC of its classifier. */
  labels: number;
  lora: { modules: (NativeModule & { rank: number; scaling: number })[] } | null;
  /** Its keys and values are given as they are, without a projection. */
  prefix: { virtualTokens: number } | null;
}

/** Little-endian elements of `dtype` in row-major order. */
export interface NativeTensor extends NativeModule {
  /** In errors. */
  name: string;
  part: Part;
  dtype: NativeDtype;
  bytes: Uint8Array;
}

/** Examples packed end to end. */
export interface NativeDataset {
  /** Σ lengths token ids. */
  ids: Int32Array;
  /** N + 1 starts into ids, offsets[0] = 0. Every example has at least one token. */
  offsets: Int32Array;
  /** N class indices, for cross-entropy; absent for prediction. */
  labels?: Int32Array;
  /** N × NC targets, row-major, for the other losses: in [0, 1] for binary cross-entropy, finite. Absent for prediction. */
  targets?: Float32Array;
  /** Σ lengths token types; absent: all 0. */
  typeIds?: Int32Array;
  /**
   * Σ lengths positions, for a model whose positions do not simply count the tokens: at most the token's place within its
   * example, or −1 for the position of padding. Absent: the place.
   */
  positions?: Int32Array;
}

export interface NativeTrainPlan {
  /** Handle from addDataset. */
  dataset: number;
  /** Example indices; consecutive runs of batchSize make the micro-batches; the last may be shorter. */
  order: Int32Array;
  batchSize: number;
  /** Micro-batches per step. steps = ceil(ceil(order.length / batchSize) / accumulation) */
  accumulation: number;
  /**
   * Micro-batches whose features are made in one pass where nothing that those are made of trains, the same within the order
   * of sums; with other processes one. A call that is aborted ends behind such a pass. Defaults to 1.
   */
  lookAhead?: number;
  /** Those that train, rising. Defaults to variant 0 alone. */
  variants?: Int32Array;
  /** One per step, and within it one per variant. */
  learningRates: Float64Array;
  /** Steps already done: AdamW's t is firstStep + 1 in the first step of this call; dropout masks depend on it too. */
  firstStep: number;
  seed: number;
  weightDecay: number;
  beta1: number;
  beta2: number;
  eps: number;
  /** Global norm to clip to; 0 turns clipping off. */
  maxGradNorm: number;
  /** Of cross-entropy; 0 for the other losses. */
  labelSmoothing: number;
  /** γ of the focal loss, for which labelSmoothing is 0; 0 for mean squared error. Defaults to 0. */
  focalGamma?: number;
  /** NC weights of the classes, or for binary cross-entropy of the labels. Not for mean squared error. */
  classWeights?: Float64Array;
  /** NC weights of the positive class of each label, BCE's pos_weight. For binary cross-entropy only. */
  positiveWeights?: Float64Array;
  /** As in NativeLimits, of the micro-batches. Defaults to false. */
  gradientCheckpointing?: boolean;
}

/** What memory is planned for: the most of a batch. */
export interface NativeLimits {
  tokens: number;
  sequences: number;
  training: boolean;
  /** In training, a layer keeps its input alone and is run again in the backward pass: less memory, the same bits. Defaults to false. */
  gradientCheckpointing?: boolean;
  /** In training, of the micro-batches of a step together: no more rows of the word embeddings get a gradient. Defaults to `tokens`. */
  stepTokens?: number;
}

export interface NativeTrainResult {
  /** Mean loss of each finished step. For 'non-finite' the failing step's values are appended. */
  losses: Float64Array;
  /** Global gradient norm before clipping, of each finished step. */
  gradNorms: Float64Array;
  /** Steps whose update was applied. */
  steps: number;
  /**
   * Correct predictions over the examples of the finished steps, as seen in training (dropout on). Binary cross-entropy: examples
   * of which every label is on the right side of 0; mean squared error: 0.
   */
  correct: number;
  /** Examples of the finished steps. */
  examples: number;
  /** 'non-finite': the loss or norm of step `steps` was not finite, its update was not applied. */
  stopped: 'done' | 'aborted' | 'non-finite';
}

/** Of a session since it was made: what its device recorded of training and inference, to launch it again at once. 0 on the CPU. */
export interface NativeRecordings {
  /** Recordings that can be replayed now: at most 256. */
  kept: number;
  /** Steps and batches that were recorded. */
  recorded: number;
  /** Steps and batches that were replayed from a recording. */
  replayed: number;
  /** Kernels and copies of the recording that was launched last. */
  nodes: number;
  /** Kernels and copies of all recordings that were launched, each time. */
  launched: number;
}

/** Bytes by arena. `peak` is the highest sum since the session was made. */
export interface NativeMemory {
  parameters: number;
  gradients: number;
  optimizer: number;
  activations: number;
  datasets: number;
  /** Adapters beside the model, and what batches that mix them need. */
  adapters: number;
  /** Of operations, beside the arenas: partial sums, cuBLASLt. 0 on the CPU. */
  workspace: number;
  total: number;
  peak: number;
  /** In use on the whole device, by all processes, at its highest. 0 on the CPU. */
  device: number;
}

/** As what, and where, a process meets the others of a run. */
export interface NativeMeeting {
  rank: number;
  size: number;
  /** Of rank 0's machine: a name, or numbers. */
  address: string;
  /** That rank 0 listens at, 1 to 65,535. */
  port: number;
}

export interface NativeSession {
  /** Which variant the calls from now on are about, until the next: their parameters, and inference. Variant 0 at first. */
  select(variant: number): void;
  parameters(): NativeParameterInfo[];
  memory(): NativeMemory;
  /** Resolves to a copy; Float64Array in fp64 sessions, Float32Array otherwise. */
  read(name: string, part: NativeParameterPart): Promise<Float32Array | Float64Array>;
  /**
   * Little-endian elements of `dtype` in row-major order. They are written whatever they are; resolves to the index of the
   * first that is NaN or infinite, −1 where there is none.
   *
   * @param owned that nobody else has the buffer: it is read where it is, and must not change, be detached or be resized
   *   until the promise settles. Defaults to false: it is copied, which holds the event loop where it is large.
   */
  write(
    name: string,
    part: 'value' | 'm' | 'v',
    dtype: NativeDtype,
    bytes: Uint8Array,
    owned?: boolean,
  ): Promise<number>;
  initialize(name: string, initializer: NativeInitializer): Promise<void>;
  addDataset(dataset: NativeDataset): Promise<number>;
  removeDataset(handle: number): Promise<void>;
  /**
   * Puts an adapter beside the model and resolves to its handle, above 0 and never given again. `tensors` are exactly its
   * parameters: lora_A (r, in) and lora_B (out, r) of each module, of DoRA lora_magnitude_vector (out), the prompt (P, 2LC), the classifier (NC, C) with its bias,
   * and where the head's dense Linear is its own (C, C) with its bias. Nothing has changed where it rejects.
   *
   * @param owned as for `write`, of every tensor's bytes
   */
  addAdapter(config: NativeAdapterConfig, tensors: NativeTensor[], owned?: boolean): Promise<number>;
  /** Frees an adapter, after the calls that were made before. */
  removeAdapter(handle: number): Promise<void>;
  /**
   * Plans memory for batches of at most these sizes, so that nothing is allocated inside a step. Grows, and shrinks only where
   * gradient checkpointing comes or goes. The gradient of the word embeddings is zero where it grows.
   */
  reserve(limits: NativeLimits): Promise<void>;
  /** Runs steps until done, aborted or not finite. */
  train(plan: NativeTrainPlan): Promise<NativeTrainResult>;
  /**
   * The same for several variants, on the same examples: each micro-batch goes through the frozen weights once for all of them.
   * Resolves to the result of each, as it would be alone. A variant that is not finite ends the call for all.
   */
  trainTogether(plan: NativeTrainPlan): Promise<NativeTrainResult[]>;
  /** Forward and backward of one batch of at most batchSize examples without an update; gradients can then be read. Resolves to the loss and the logits (B, NC). */
  gradients(plan: NativeTrainPlan): Promise<{ loss: number; logits: Float64Array; gradNorm: number }>;
  /**
   * Logits (N, NC) of the examples in `order`, dropout off. Rejects with ABORTED after abort().
   *
   * @param starts where each batch starts in `order`, and the end: rising from 0 to N
   */
  forward(dataset: number, order: Int32Array, starts: Int32Array): Promise<Float32Array | Float64Array>;
  /**
   * The same with an adapter an example: `adapters[i]` is the handle of order[i]'s, or 0 for the model as it is. All rows
   * are as long as the most classes of any adapter in the session and of the model; row i begins with order[i]'s logits.
   * A batch mixes LoRA adapters and the model; the texts of one share a prefix, or have none.
   */
  forwardMixed(
    dataset: number,
    order: Int32Array,
    starts: Int32Array,
    adapters: Int32Array,
  ): Promise<Float32Array | Float64Array>;
  /** `forward` over examples that are put on the device for this call only: one job, and nothing to remove after it. */
  predict(dataset: NativeDataset, order: Int32Array, starts: Int32Array): Promise<Float32Array | Float64Array>;
  recordings(): Promise<NativeRecordings>;
  /**
   * Hidden states of one batch, dropout off: the embedding output and each layer's output, (T, C) each, L + 1 of them.
   *
   * @param lastAlone gives the last layer's output alone. Defaults to false.
   */
  hiddenStates(dataset: number, order: Int32Array, lastAlone?: boolean): Promise<Values[]>;
  /** The prefix as every layer sees it, (P, 2LC): what PEFT stores as prompt_embeddings. */
  promptEmbeddings(): Promise<Float32Array | Float64Array>;
  /**
   * Joins the other ranks of a run, on the CPU through a library (native/core/collective.h), on a GPU through NCCL: from then on `train` takes a share of each
   * micro-batch, and all ranks have the results of the whole. Every rank is to make the same calls of `train`, `allReduce` and
   * `leaveRanks` in the same order. Rejects with RANK_LOST, as those do, where another rank does not come within `limit` seconds.
   */
  joinRanks(place: string | NativeMeeting, limit: number): Promise<{ rank: number; size: number }>;
  /** Resolves to the sums over the ranks, element by element. */
  allReduce(values: Float64Array): Promise<Float64Array>;
  /** Nothing is to be exchanged any more. A process that ends before is taken for lost by what started the ranks. */
  leaveRanks(): Promise<void>;
  /** Stops the running train or forward after its current step or batch. Does nothing when idle. */
  abort(): void;
  /** Frees everything once what runs has ended. Safe to call twice. */
  dispose(): Promise<void>;
}

export interface NativeDeviceInfo {
  device: NativeDevice;
  name: string;
  /** Bytes; 0 where not known. */
  totalMemory: number;
  available: boolean;
  /** Why not, where not available. */
  reason?: string;
  precisions: NativePrecision[];
  /** Versions of CUDA, its driver and cuBLASLt; on the CPU of oneDNN, with the instructions it uses; empty without it. */
  libraries: string;
}

export interface NativeBlasInfo {
  /** 'OpenBLAS' | 'Accelerate' | ... */
  library: string;
  version: string;
  /** The processor kernel the library chose, e.g. 'SkylakeX'. */
  kernel: string;
}

export interface NativeAddon {
  version: string;
  /** Gives the addon the constructor of the errors that it throws and rejects with. */
  setErrorFactory(factory: (code: ErrorCode, message: string) => Error): void;
  /** Gives the addon what hears of work that was done in a slower way than it is meant to be: after the call that did it. */
  setWarningHandler(handler: (message: string) => void): void;
  /**
   * Names the library that holds a device's backend (native/core/library.h), for the whole process; that of 'cuda' is opened
   * where none lies beside the addon. To be called before anything asks for devices.
   */
  addDevice(name: NativeDevice, path: string): void;
  devices(): NativeDeviceInfo[];
  blas(): NativeBlasInfo;
  /**
   * Locks an open file until it is closed or the process ends, however it ends (flock).
   *
   * @param shared whether others may have such a lock at the same time. Defaults to false.
   * @returns whether it is ours now; false while someone else has it, on this machine
   */
  lockFile(fd: number, shared?: boolean): boolean;
  /** Ends the work of all sessions of the process, which is about to exit: no promise of theirs is settled any more. */
  endThreads(): void;
  createSession(config: NativeSessionConfig): Promise<NativeSession>;
}

const warnings = new Set<string>();

function warnOnce(message: string): void {
  if (warnings.has(message)) return;
  warnings.add(message);
  process.emitWarning(message, 'BertuneWarning');
}

let loaded: NativeAddon | undefined;
let found: FoundAddon | undefined;

/**
 * Loads the native addon once: see lib/native/addon.ts for where it is looked for.
 *
 * @throws BertuneError NATIVE_UNAVAILABLE when there is none, or it cannot be loaded
 */
export function loadNative(): NativeAddon {
  loaded ??= open(locate());
  return loaded;
}

/** Where the addon in use was loaded from; loads it where that was not done yet. */
export function nativeOrigin(): FoundAddon {
  loadNative();
  return locate();
}

function locate(): FoundAddon {
  found ??= findAddon();
  return found;
}

function open({ path, cudaLibrary, remedy }: FoundAddon): NativeAddon {
  let addon: NativeAddon;
  try {
    addon = openAddon(path) as NativeAddon;
  } catch (cause) {
    if (cause instanceof BertuneError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BertuneError('NATIVE_UNAVAILABLE', `Expected ${path} to load but it failed: ${reason}; ${remedy}`, {
      cause,
    });
  }
  const version = packageVersion();
  if (addon.version !== version) {
    throw new BertuneError(
      'NATIVE_UNAVAILABLE',
      `Expected the native addon of bertune ${version} at ${path} but found that of ${addon.version}; ${remedy}`,
    );
  }
  addon.setErrorFactory((code, message) => new BertuneError(code, message));
  addon.setWarningHandler(warnOnce);
  if (isMainThread) process.once('exit', () => addon.endThreads());
  if (cudaLibrary !== undefined) addon.addDevice('cuda', cudaLibrary);
  return addon;
}

import { printable } from './printable.js';

/** The longest message, in characters: what files say of themselves may be of any length. */
const MOST_CHARACTERS = 2000;
/** Of a longer one, so much is kept of its end. */
const END_CHARACTERS = 300;

/**
 * What went wrong, as a word that a program can test.
 *
 * - `INVALID_OPTION`: an argument or option is of the wrong type or out of range.
 * - `INVALID_DATA`: a data file, a row, a label or a text cannot be used.
 * - `SHAPE_MISMATCH`: a tensor or array has the wrong shape.
 * - `CHECKPOINT_INVALID`: a model, adapter or tokenizer file is broken, incomplete or not supported.
 * - `NOT_FOUND`: a file, directory, column, parameter or name does not exist.
 * - `OUTPUT_REFUSED`: an output directory cannot be written, or is not empty and `overwrite` was not set.
 * - `NON_FINITE_LOSS`: the loss, the gradient norm or a parameter became NaN or infinite; the parameters are those of the last
 *   good step, and a model with such a parameter is not saved.
 * - `NON_FINITE_LOGITS`: the model's scores for a text are NaN or infinite: the weights are damaged, or too large to compute
 *   with.
 * - `ABORTED`: an AbortSignal stopped the work.
 * - `RANK_LOST`: another process of the same training run ended, hangs or is too slow; the message names it.
 * - `COLLECTIVE_UNAVAILABLE`: the processes of a training run cannot find each other: MPI or NCCL is missing, or they were
 *   started differently.
 * - `TIMED_OUT`: the work was not done within the time it was given.
 * - `QUEUE_FULL`: a service's queue is full; `retryAfter` says when to try again.
 * - `DISPOSED`: the object was disposed before the call.
 * - `OUT_OF_MEMORY`: memory could not be allocated; the message says how much was needed.
 * - `CUDA_UNAVAILABLE`, `CUDA_ERROR`: no usable GPU, or a GPU call failed.
 * - `NATIVE_UNAVAILABLE`: the native addon is not built or cannot be loaded.
 * - `HUB_UNAVAILABLE`: the Hugging Face hub cannot be reached or gave an invalid answer, and the cache lacks what is needed.
 * - `HUB_ACCESS`: the hub refuses access: a private or gated repository, or a token that is missing or wrong.
 * - `INTERNAL`: a check inside the library failed; please report it.
 */
export type ErrorCode =
  | 'INVALID_OPTION'
  | 'INVALID_DATA'
  | 'SHAPE_MISMATCH'
  | 'CHECKPOINT_INVALID'
  | 'NOT_FOUND'
  | 'OUTPUT_REFUSED'
  | 'NON_FINITE_LOSS'
  | 'NON_FINITE_LOGITS'
  | 'ABORTED'
  | 'RANK_LOST'
  | 'COLLECTIVE_UNAVAILABLE'
  | 'TIMED_OUT'
  | 'QUEUE_FULL'
  | 'DISPOSED'
  | 'OUT_OF_MEMORY'
  | 'CUDA_UNAVAILABLE'
  | 'CUDA_ERROR'
  | 'NATIVE_UNAVAILABLE'
  | 'HUB_UNAVAILABLE'
  | 'HUB_ACCESS'
  | 'INTERNAL';

/** The library's only error class: a sentence for people and a `code` for programs. */
export class BertuneError extends Error {
  override readonly name = 'BertuneError';
  readonly code: ErrorCode;
  /** Milliseconds after which another try may succeed. Only QUEUE_FULL has it. */
  readonly retryAfter?: number;

  /**
   * @param code what went wrong, as a word
   * @param message one sentence that says what was expected and what was found. It is made printable, and shortened in the
   *   middle beyond 2,000 characters, since it may quote a file
   * @param options `cause`: the underlying error, if there is one; `retryAfter`: milliseconds
   */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; retryAfter?: number }) {
    super(shortened(message), options);
    this.code = code;
    if (options?.retryAfter !== undefined) this.retryAfter = options.retryAfter;
  }
}

function shortened(message: string): string {
  // Before as well: escapes are longer, and a message of megabytes need not be looked through.
  const text = printable(cut(message));
  return text.length > MOST_CHARACTERS ? printable(cut(text)) : text;
}

function cut(text: string): string {
  if (text.length <= MOST_CHARACTERS) return text;
  return `${text.slice(0, MOST_CHARACTERS - END_CHARACTERS - 3)} … ${text.slice(-END_CHARACTERS)}`;
}

import type { BertConfig, HeadKind } from './config.js';
import { BertuneError } from './errors.js';
import type { Tensor } from './safetensors.js';

export * from './checkpoint/shapes.js';

/** A checkpoint in memory, every tensor checked against the shape that config.json implies. */
export interface Checkpoint {
  directory: string;
  /** `labels` are the model's from now on: those asked for, otherwise the file's. */
  config: BertConfig;
  /** Canonical names; dtypes F64, F32, F16 or BF16 as in the file. */
  tensors: Map<string, Tensor>;
  /** Canonical names of the pooler's and the classifier's tensors that are to be initialised anew. */
  missing: string[];
  /** Names in the file that are not part of the model. */
  ignored: string[];
  /** null: the head is to be initialised anew. */
  head: HeadKind | null;
}

/** What writeCheckpoint saves. */
export interface CheckpointContent {
  config: BertConfig;
  labels: readonly string[];
  /** Exactly the tensors of expectedTensors(config, head, labels.length). */
  tensors: ReadonlyMap<string, Tensor>;
  head: HeadKind;
  /** Directory whose tokenizer files are copied. */
  tokenizerFrom: string;
}

/** Whether the directory holds a config.json. */
export async function isCheckpoint(directory: string): Promise<boolean> {
  throw new BertuneError('INTERNAL', `not written yet: ${directory}`);
}

/**
 * Reads a BERT checkpoint: config.json and model.safetensors, or the shards of model.safetensors.index.json.
 *
 * @param options.labels classes the model is to have. A classifier of another number of rows counts as missing.
 *   Defaults to the file's.
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID, SHAPE_MISMATCH, INVALID_OPTION
 */
export async function readCheckpoint(
  directory: string,
  options: { labels?: readonly string[] } = {},
): Promise<Checkpoint> {
  throw new BertuneError('INTERNAL', `not written yet: ${directory} ${options}`);
}

/**
 * Writes config.json, model.safetensors and the tokenizer's files, all or none. Creates the directory where needed.
 *
 * @throws BertuneError OUTPUT_REFUSED, SHAPE_MISMATCH, INVALID_OPTION, NOT_FOUND (the tokenizer)
 */
export async function writeCheckpoint(directory: string, content: CheckpointContent): Promise<void> {
  throw new BertuneError('INTERNAL', `not written yet: ${directory} ${content}`);
}

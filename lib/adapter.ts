import type { BertConfig } from './config.js';
import { BertuneError } from './errors.js';
import type { Tensor } from './safetensors.js';

interface AdapterCommon {
  /** base_model_name_or_path: where the base checkpoint is, a directory or a hub id. */
  baseModel: string | null;
  /** Names of the classes in order, where the file knows them (ours do, PEFT's do not). */
  labels?: readonly string[] | null;
}

/** Low-rank updates of some Linear modules, as PEFT stores them. */
export interface LoraAdapter extends AdapterCommon {
  kind: 'lora';
  rank: number;
  /** Scaling is alpha / rank. */
  alpha: number;
  dropout: number;
  /** As in adapter_config.json: a module matches when its full name equals a target or ends with '.' + target. */
  targetModules: string[];
  /** Canonical names: `<module>.lora_A.weight` (r, in), `<module>.lora_B.weight` (out, r), `classifier.*` where trained. */
  tensors: Map<string, Tensor>;
}

/** Keys and values in front of every layer's own, as PEFT stores them. */
export interface PrefixAdapter extends AdapterCommon {
  kind: 'prefix';
  /** P */
  virtualTokens: number;
  /** Whether a projection network trained them (the file holds its output). */
  projection: boolean;
  layers: number;
  heads: number;
  hiddenSize: number;
  /** (P, 2LC): layer l's keys are columns [2lC, (2l+1)C), its values the next C. */
  promptEmbeddings: Tensor;
  /** Canonical names: `classifier.*` where trained. */
  tensors: Map<string, Tensor>;
}

export type Adapter = LoraAdapter | PrefixAdapter;

/** Whether the directory holds an adapter_config.json. */
export async function isAdapter(directory: string): Promise<boolean> {
  throw new BertuneError('INTERNAL', `not written yet: ${directory}`);
}

/**
 * Reads an adapter that PEFT or this library saved.
 *
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID, SHAPE_MISMATCH
 */
export async function readAdapter(directory: string): Promise<Adapter> {
  throw new BertuneError('INTERNAL', `not written yet: ${directory}`);
}

/**
 * Checks that an adapter belongs on a base model of these dimensions.
 *
 * @throws BertuneError SHAPE_MISMATCH, CHECKPOINT_INVALID naming the tensor or module
 */
export function checkAdapter(adapter: Adapter, config: BertConfig): void {
  throw new BertuneError('INTERNAL', `not written yet: ${adapter} ${config}`);
}

/**
 * Writes adapter_config.json and adapter_model.safetensors so that every PEFT version can read them, both or none.
 *
 * @param options.tokenizerFrom directory whose tokenizer files are copied beside. Defaults to none.
 * @throws BertuneError OUTPUT_REFUSED, SHAPE_MISMATCH, INVALID_OPTION
 */
export async function writeAdapter(
  directory: string,
  adapter: Adapter,
  options: { tokenizerFrom?: string } = {},
): Promise<void> {
  throw new BertuneError('INTERNAL', `not written yet: ${directory} ${adapter} ${options}`);
}

/**
 * The full names of BERT's Linear modules that the targets match, in the order of the model: PEFT's suffix rule, or
 * every one for 'all-linear'.
 *
 * @throws BertuneError INVALID_OPTION listing the modules where a target matches none
 */
export function resolveTargetModules(targets: readonly string[], layers: number): string[] {
  throw new BertuneError('INTERNAL', `not written yet: ${targets} ${layers}`);
}

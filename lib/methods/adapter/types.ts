import type { Tensor } from '../../formats/tensor.js';
import type { LongTexts } from '../../options/long-texts.js';
import type { TaskKind } from '../../tasks/index.js';

export const BASE_KINDS = ['built-in', 'hub', 'folder'] as const;
/**
 * What an adapter's base_model_name_or_path is: the model that comes with the package, a model of the hub, or a folder, whose
 * path is relative to the adapter's directory.
 */
export type BaseKind = (typeof BASE_KINDS)[number];

/**
 * Of both kinds. The head, `classifier.weight` and `classifier.bias`, may be absent in what is read (the base model's is
 * meant then); what is written has it, frozen or not, because PEFT needs it and a new one is random.
 */
export interface AdapterCommon {
  /** base_model_name_or_path: where the base checkpoint is, a directory or a hub id. */
  baseModel: string | null;
  /** Which of them it is, kept in the file's metadata; null where the file says nothing (PEFT's do not). Defaults to null. */
  baseKind?: BaseKind | null;
  /** revision: the base checkpoint's branch, tag or commit on the hub. Defaults to null, its main branch. */
  baseRevision?: string | null;
  /** Names of the classes in order, kept in the file's metadata; null where the file knows none (PEFT's do not). */
  labels?: readonly string[] | null;
  /** Whether it was trained on pairs of texts, kept as the names are. Defaults to null: not known. */
  pairs?: boolean | null;
  /** What its labels are for, kept as the names are. Defaults to null: what the base's config.json says. */
  task?: TaskKind | null;
  /** Scores above which a label is predicted, by its name, kept as the names are. Defaults to null: none was tuned. */
  thresholds?: Readonly<Record<string, number>> | null;
  /** What logits are divided by before they become scores, kept as the names are. Defaults to null: nothing. */
  temperature?: number | null;
  /** What was made of long texts in training, kept as the names are. Defaults to null: they were cut as the tokenizer does. */
  longTexts?: LongTexts | null;
}

/** Values for the modules whose names a regular expression matches from a dot on; the first that does counts, as in PEFT. */
export type ModulePattern = Readonly<Record<string, number>>;

/** Which modules low-rank updates are for, and how large they are. */
export interface LoraShape {
  rank: number;
  /** An update is scaled by alpha / rank, with `rslora` by alpha / √rank. */
  alpha: number;
  rslora?: boolean;
  /** Whether each update has the lengths of its module's rows beside it. Defaults to false. */
  dora?: boolean;
  /** Other ranks and alphas of some modules. Default to none. */
  rankPattern?: ModulePattern;
  alphaPattern?: ModulePattern;
  /** Numbers of layers; null: all. Defaults to all. */
  layers?: readonly number[] | null;
  /** Modules that are left out, named as targets are. Defaults to none. */
  exclude?: readonly string[];
  /** Which biases of the base are the adapter's. Defaults to 'none'. */
  bias?: LoraBias;
}

export const LORA_BIASES = ['none', 'all', 'lora_only'] as const;
export type LoraBias = (typeof LORA_BIASES)[number];

/** Low-rank updates of some Linear modules, as PEFT stores them. */
export interface LoraAdapter extends AdapterCommon, LoraShape {
  kind: 'lora';
  dropout: number;
  /** As in adapter_config.json: a module matches when its full name equals a target or ends with '.' + target. */
  targetModules: string[];
  /** Canonical names: `<module>.lora_A.weight` (r, in), `<module>.lora_B.weight` (out, r), `<module>.lora_magnitude_vector` (out), biases, the head's. */
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
  /** Canonical names: `classifier.*`. */
  tensors: Map<string, Tensor>;
}

export type Adapter = LoraAdapter | PrefixAdapter;

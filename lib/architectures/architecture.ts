import type { LayerRole } from '../native/roles.js';
import type { LongTexts } from '../options/long-texts.js';

/** What config.json says about an encoder classifier. Absent keys have the architecture's defaults. */
export interface ModelConfig {
  /** 'bert', 'roberta', ... */
  modelType: string;
  /** V */
  vocabSize: number;
  /** E: the hidden size unless a projection follows the embeddings. */
  embeddingSize: number;
  /** C */
  hiddenSize: number;
  /** L */
  layers: number;
  /** NH */
  heads: number;
  /** F */
  feedForwardSize: number;
  /** Rows of the position embeddings; RoBERTa leaves the first ones unused. */
  maxPositions: number;
  /** Longest text in tokens: the positions that texts can use. */
  maxTokens: number;
  /** 0: the architecture has no token types. */
  typeVocabSize: number;
  layerNormEps: number;
  /** Of the feed-forward part, as transformers names it: 'gelu', 'gelu_new', 'relu', ... */
  activation: string;
  /** Probabilities of dropping, in [0, 1). */
  hiddenDropout: number;
  attentionDropout: number;
  /** null: the same as hiddenDropout. */
  classifierDropout: number | null;
  /** null: there is none. */
  padTokenId: number | null;
  /** Standard deviation of new weights. */
  initializerRange: number;
  /** Names of the classes in the order of the classifier's rows, from id2label; null if the file names none. */
  labels: string[] | null;
  /** Problems with those names, in sentences: numbers that id2label leaves out, a label2id that disagrees with it. */
  labelNotes: readonly string[];
  /** Whether the classifier was trained on pairs of texts; null if the file does not say. */
  pairs: boolean | null;
  problemType: string | null;
  /** Tuned scores above which a label is predicted, by label; null if none were tuned. */
  thresholds: Readonly<Record<string, number>> | null;
  /** The calibrated temperature that logits are divided by; null if there is none. */
  temperature: number | null;
  /** How long texts were read in training; null if the file does not say. */
  longTexts: LongTexts | null;
  /** The whole file, so that unknown keys survive a round trip. */
  raw: Record<string, unknown>;
}

/** What a key of config.json says. */
export type ConfigField =
  | 'vocabSize'
  | 'embeddingSize'
  | 'hiddenSize'
  | 'layers'
  | 'heads'
  | 'feedForwardSize'
  | 'maxPositions'
  | 'typeVocabSize'
  | 'layerNormEps'
  | 'activation'
  | 'hiddenDropout'
  | 'attentionDropout'
  | 'classifierDropout'
  | 'padTokenId'
  | 'initializerRange';

/** A setting by its key, with the default of transformers; without a key the default is all there is. */
export interface ConfigKey<T> {
  key: string | null;
  default: T;
}

export type ConfigKeys = {
  [K in ConfigField]: ConfigKey<ModelConfig[K]>;
};

/** What the activations of the head's dense Linear are called in native code. */
export type HeadActivation = 'tanh' | 'relu' | 'gelu';

/**
 * A family of encoders with post-LayerNorm layers and a classifier on the first token. Everything that differs between
 * families is here; a new one is a file like these and a line in the registry.
 */
export interface Architecture {
  /** model_type in config.json → the start of its class's name, e.g. 'Bert' of BertForSequenceClassification. */
  modelTypes: Readonly<Record<string, string>>;
  /** The first part of the encoder's names, which files of a bare encoder leave out. */
  prefix: string;
  keys: ConfigKeys;
  /** Whether a text's positions start behind pad_token_id, as fairseq counts them. */
  positionsFollowPadding: boolean;
  /** Names of modules. */
  embeddings: {
    word: string;
    position: string;
    /** null: there are no token types. */
    tokenType: string | null;
    norm: string;
    /** Where the embeddings' size is not the hidden size; null: it always is. */
    projection: string | null;
  };
  /** Modules of layer N below `layers`.N. */
  layers: string;
  inLayer: Readonly<Record<LayerRole, string>>;
  /** A dense Linear on the first token that belongs to the encoder: a probe stands on it, and LoRA may target it. */
  pooler: string | null;
  head: {
    /** A dense Linear on the first token that is part of the head; null where there is a pooler. */
    dense: string | null;
    /** The Linear whose rows are the labels. */
    output: string;
  };
  /** Behind the pooler or the head's dense Linear. */
  headActivation: HeadActivation;
  /** Whether the head drops its input as well. */
  dropsHeadInput: boolean;
  /** Whether what attention puts out is dropped. */
  dropsAttentionOutput: boolean;
  /** Modules that LoRA updates where the caller names none, as PEFT. */
  loraTargets: readonly string[];
}

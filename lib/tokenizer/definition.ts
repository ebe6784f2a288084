/** A token that is looked for in the raw text before anything else happens to it. */
export interface AddedToken {
  id: number;
  content: string;
  /** Found only between characters that are no part of a word. */
  single_word?: boolean;
  /** Takes the white space in front of it along. */
  lstrip?: boolean;
  /** Takes the white space behind it along. */
  rstrip?: boolean;
  /** Looked for in the normalized text instead. */
  normalized?: boolean;
  special?: boolean;
  /** A special token of the class that no file has: the model need not have an embedding for it. */
  implied?: true;
}

/** A part of tokenizer.json: its kind and its own settings. */
export type Component = { type?: string } & Record<string, unknown>;

/** tokenizer.json, as far as it is looked into here. */
export interface TokenizerDefinition {
  added_tokens: AddedToken[];
  normalizer: Component | null;
  pre_tokenizer: Component | null;
  post_processor: Component | null;
  decoder: Component | null;
  model: Record<string, unknown> & {
    type?: string;
    /** Ids by piece. (A Unigram model has an array of pieces and their scores.) */
    vocab: Record<string, number>;
    unk_token?: string | null;
    continuing_subword_prefix?: string;
    max_input_chars_per_word?: number;
  };
}

/** What a tokenizer's files say beside its definition. */
export interface TokenizerSettings {
  /** The longest text in tokens, special ones included; Infinity where that is not stated. */
  modelMaxLength: number;
  /** The side that a text which is too long loses tokens from. */
  truncationSide: 'left' | 'right';
  /** Whether special tokens that stand in a text are taken apart like any other characters. */
  splitSpecialTokens: boolean;
  /** The token that fills up a batch's shorter texts. */
  padToken: string | undefined;
  /** The tokens that stand at the start and the end of a sequence. */
  clsToken: string | undefined;
  sepToken: string | undefined;
  /** The inputs that the model is given: 'token_type_ids' among them where it is told the segments. */
  modelInputNames: readonly string[];
}

import { join } from 'node:path';
import { BertuneError } from '../errors.js';
import { readJsonObject, readText } from '../files/input.js';

/** Far above any vocab.txt. */
const MAX_VOCABULARY_BYTES = 64 * 2 ** 20;

/** Ids are 32-bit numbers to everything that computes with them. */
const MAX_IDS = 2 ** 31 - 1;

/** Far above what any tokenizer says, and what a word may cost. */
const MAX_WORD = 10_000;

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
  /** Looked for in the normalised text instead. */
  normalized?: boolean;
  special?: boolean;
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
  model: {
    type?: string;
    vocab: Record<string, number>;
    unk_token?: string;
    continuing_subword_prefix?: string;
    max_input_chars_per_word?: number;
  };
}

/** tokenizer_config.json, as far as it is looked into here. Empty where there is no such file. */
export type TokenizerConfig = Record<string, unknown>;

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
  /** The inputs that the model is given: 'token_type_ids' among them where it is told the segments. */
  modelInputNames: readonly string[];
}

/** A length that transformers writes for "no limit" is beyond this. */
const NO_LIMIT = 1e9;

/**
 * Reads tokenizer.json and tokenizer_config.json of a directory. Older BERT checkpoints with a vocab.txt alone are
 * read as well: they are a WordPiece model under BERT's normaliser.
 *
 * As in transformers, `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` of tokenizer_config.json overrule
 * what tokenizer.json says. A tokenizer of vocab.txt adds [CLS] and [SEP]; one of tokenizer.json what is written there.
 *
 * @throws NOT_FOUND when there is neither tokenizer.json nor vocab.txt, CHECKPOINT_INVALID when a file is broken
 */
export async function readDefinition(
  directory: string,
): Promise<{ definition: TokenizerDefinition; settings: TokenizerSettings; config: TokenizerConfig }> {
  const config = (await ifThere(readJsonObject(join(directory, 'tokenizer_config.json')))) ?? {};
  const json = await ifThere(readJsonObject(join(directory, 'tokenizer.json')));
  const definition = json === undefined ? await readVocabulary(directory, config) : checkDefinition(directory, json);
  return { definition: applyConfig(definition, config), settings: readSettings(config), config };
}

function readSettings(config: TokenizerConfig): TokenizerSettings {
  const limit = Number(config.model_max_length);
  return {
    modelMaxLength: limit > 0 && limit < NO_LIMIT ? limit : Number.POSITIVE_INFINITY,
    truncationSide: 'right',
    splitSpecialTokens: false,
    padToken: specialToken(config, 'pad_token', '[PAD]'),
    modelInputNames: ['input_ids', 'token_type_ids', 'attention_mask'],
  };
}

/** The text of a special token in tokenizer_config.json, where it may be a string or an added token. */
export function specialToken(config: TokenizerConfig, name: string, fallback: string): string {
  const value = config[name];
  const content = typeof value === 'object' && value !== null && 'content' in value ? value.content : value;
  return typeof content === 'string' ? content : fallback;
}

function checkDefinition(directory: string, json: Record<string, unknown>): TokenizerDefinition {
  const { model, added_tokens = [] } = json as Partial<TokenizerDefinition>;
  const path = join(directory, 'tokenizer.json');
  if (typeof model !== 'object' || model === null || typeof model.vocab !== 'object' || model.vocab === null) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected a model with a vocabulary in ${path} but found none`);
  }
  if (!Array.isArray(added_tokens)) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected an array for added_tokens in ${path}`);
  }
  for (const token of added_tokens) checkId(path, token?.content, token?.id);
  if (!Array.isArray(model.vocab)) {
    for (const [piece, id] of Object.entries(model.vocab)) checkId(path, piece, id);
  }
  if (isWordPiece(model)) checkWordPiece(path, model);
  const nothing = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  return { ...nothing, ...json, model: isWordPiece(model) ? { ...model, type: 'WordPiece' } : model, added_tokens };
}

function checkId(path: string, content: unknown, id: unknown): void {
  if (typeof content === 'string' && Number.isInteger(id) && (id as number) >= 0 && (id as number) < MAX_IDS) return;
  throw new BertuneError('CHECKPOINT_INVALID', `Expected a token id for ${JSON.stringify(content)} in ${path}`);
}

function checkWordPiece(path: string, model: TokenizerDefinition['model']): void {
  const { unk_token, continuing_subword_prefix, max_input_chars_per_word: most = 1 } = model;
  const texts = [unk_token, continuing_subword_prefix].every((value) => ['string', 'undefined'].includes(typeof value));
  if (!texts || Array.isArray(model.vocab)) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected a WordPiece model with its unknown token in ${path}`);
  }
  if (Number.isInteger(most) && most >= 1 && most <= MAX_WORD) return;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected an integer from 1 to ${MAX_WORD} for max_input_chars_per_word in ${path} but found ${JSON.stringify(most)}`,
  );
}

/** Older files do not say what their model is: it is known by its settings. */
function isWordPiece(model: TokenizerDefinition['model']): boolean {
  return (
    model.type === 'WordPiece' ||
    (model.type === undefined && 'continuing_subword_prefix' in model && !('merges' in model))
  );
}

/** A definition made of vocab.txt: a word piece a line, its id the number of the line. */
async function readVocabulary(directory: string, config: TokenizerConfig): Promise<TokenizerDefinition> {
  const path = join(directory, 'vocab.txt');
  const text = await ifThere(readText(path, MAX_VOCABULARY_BYTES));
  if (text === undefined) {
    throw new BertuneError('NOT_FOUND', `Expected tokenizer.json or vocab.txt in ${directory} but found neither`);
  }
  const pieces = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  const token = (name: string): [string, number] => {
    const content = specialToken(config, `${name}_token`, `[${name.toUpperCase()}]`);
    const id = Object.hasOwn(vocab, content) ? vocab[content] : undefined;
    if (id === undefined) throw new BertuneError('CHECKPOINT_INVALID', `Expected ${content} in ${path}`);
    return [content, id];
  };
  const special = ['pad', 'unk', 'cls', 'sep', 'mask'].map(token);
  return {
    added_tokens: special.map(([content, id]) => ({ id, content, special: true, normalized: false })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', cls: token('cls'), sep: token('sep') },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: { type: 'WordPiece', vocab, unk_token: token('unk')[0], continuing_subword_prefix: '##' },
  };
}

/** What transformers changes in a tokenizer after it was read. */
function applyConfig(definition: TokenizerDefinition, config: TokenizerConfig): TokenizerDefinition {
  const normalizer = definition.normalizer === null ? null : { ...definition.normalizer };
  if (normalizer?.type === 'BertNormalizer') {
    if (typeof config.do_lower_case === 'boolean') normalizer.lowercase = config.do_lower_case;
    if (typeof config.strip_accents === 'boolean') normalizer.strip_accents = config.strip_accents;
    const handleChinese = config.tokenize_chinese_chars;
    if (typeof handleChinese === 'boolean') normalizer.handle_chinese_chars = handleChinese;
  }
  return { ...definition, normalizer };
}

/** What was read, or undefined where there is no such file. */
async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((cause) => {
    if (cause instanceof BertuneError && cause.code === 'NOT_FOUND') return undefined;
    throw cause;
  });
}

import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import { isObject } from '../../files/json.js';
import { FILES, type TokenizerFiles } from './source.js';
import {
  contentOf,
  expectFew,
  isTokenId,
  isTypedToken,
  quoted,
  readSpecial,
  readToken,
  type Special,
  Token,
} from './token.js';

/*
 * The files of a tokenizer, as the arguments that transformers 5 makes of them for its class
 * (PreTrainedTokenizerBase._from_pretrained, the same names and the same order).
 */

/** The special tokens that every class of transformers knows. */
export const SPECIAL_TOKENS = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const;

export type SpecialName = (typeof SPECIAL_TOKENS)[number];

/** Arguments that are no settings: transformers would take the tokenizer from them instead of its files. */
const RESERVED = [
  'vocab',
  'merges',
  'tokenizer_object',
  'post_processor',
  'fix_mistral_regex',
  '_spm_precompiled_charsmap',
];

/** What transformers passes over in tokenizer_config.json: it names these files itself. */
const PATHS = ['vocab_file', 'merges_file', 'tokenizer_file'];

/** What it passes over as well where there is a tokenizer.json. */
const ENDS = ['add_bos_token', 'add_eos_token'];

/** No special tokens, and yet special_tokens_map.json could overrule the other files with them. */
const NO_TOKENS = [
  ...RESERVED,
  ...PATHS,
  ...ENDS,
  'init_inputs',
  'model_specific_special_tokens',
  'added_tokens_decoder',
];

/** A token that a file declares with an id. */
export interface DeclaredToken {
  id: number;
  token: Token;
  path: string;
}

/** What the files of a tokenizer say to its class. */
export class Arguments {
  /** The special tokens that are named; null where a file says that there is none. */
  readonly named: ReadonlyMap<string, Special | null>;
  /** Special tokens with names of the model's own. */
  readonly specific: ReadonlyMap<string, Special>;
  /** Further special tokens; undefined where no file says anything of them. */
  readonly extra: readonly Special[] | undefined;
  /** Tokens that are declared with ids, by id. */
  readonly declared: readonly DeclaredToken[];
  private readonly values: ReadonlyMap<string, Argument>;
  private readonly contents: ReadonlySet<string>;

  /** @throws BertuneError CHECKPOINT_INVALID naming the file and the key that cannot be used */
  constructor(files: TokenizerFiles) {
    const values = configured(files);
    const explicit = takeSpecific(values);
    this.declared = declaredTokens(files, values, explicit);
    this.values = values;
    this.named = namedTokens(values, this.declared);
    this.specific = new Map([...remainingSpecific(values), ...explicit]);
    this.extra = extraTokens(values);
    const named = [...this.named.values()].filter((token) => token !== null);
    this.contents = new Set([...named, ...this.specific.values(), ...(this.extra ?? [])].map(contentOf));
  }

  /** A setting that is true or false, or `fallback` where no file has it. */
  flag(key: string, fallback: boolean): boolean {
    return this.read(key, fallback, 'true or false', (value) => typeof value === 'boolean');
  }

  /** A setting, or `fallback` where no file has it. Another value than `isValid` takes is refused. */
  read<T>(key: string, fallback: T, expected: string, isValid: (value: unknown) => boolean): T {
    const given = this.values.get(key);
    if (given === undefined) return fallback;
    if (!isValid(given.value)) throw invalidValue(given.path, key, expected, given.value);
    return given.value as T;
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  /** Whether a file names this token, of whatever kind. */
  names(content: string): boolean {
    return this.contents.has(content);
  }
}

/** A value, and the file that it comes from. */
interface Argument {
  value: unknown;
  path: string;
}

type Values = Map<string, Argument>;

/** tokenizer_config.json, without what chooses the class. */
function configured({ directory, config, definition }: TokenizerFiles): Values {
  const path = join(directory, FILES.config);
  const values: Values = new Map(Object.entries(config).map(([key, value]) => [key, { value, path }]));
  expectFew(path, 'the file', values.size);
  for (const key of ['tokenizer_class', 'auto_map', ...PATHS]) values.delete(key);
  if (definition !== undefined) for (const key of ENDS) values.delete(key);
  const inputs = config.init_inputs ?? [];
  if (!Array.isArray(inputs) || inputs.length > 0) throw invalidValue(path, 'init_inputs', 'an empty array', inputs);
  const reserved = RESERVED.find((key) => ![undefined, null, false].includes(config[key] as null));
  if (reserved !== undefined) throw unusable(reserved, path);
  renameAdditional(values);
  return values;
}

function unusable(key: string, path: string): BertuneError {
  return new BertuneError('CHECKPOINT_INVALID', `Cannot use ${key} in ${path}: remove it`);
}

/** The name of older versions gives way to the present one. */
function renameAdditional(values: Values): void {
  const additional = values.get('additional_special_tokens');
  if (additional === undefined) return;
  values.delete('additional_special_tokens');
  if (!values.has('extra_special_tokens')) values.set('extra_special_tokens', additional);
}

/** Takes the special tokens with names of the model's own out of the values. */
function takeSpecific(values: Values): Map<string, Special> {
  const specific = new Map<string, Special>();
  for (const [key, { value, path }] of [...values]) {
    if (!isOwnName(key) || typeof value !== 'string') continue;
    specific.set(key, readSpecial(path, key, value));
    values.delete(key);
  }
  takeNamedExtra(values, specific);
  const saved = values.get('model_specific_special_tokens');
  values.delete('model_specific_special_tokens');
  if (specific.size === 0 && saved !== undefined && saved.value !== null) {
    addAll(specific, saved, 'model_specific_special_tokens');
  }
  return specific;
}

/** extra_special_tokens may be an object of names and tokens. */
function takeNamedExtra(values: Values, specific: Map<string, Special>): void {
  const extra = values.get('extra_special_tokens');
  if (!isObject(extra?.value) || isTypedToken(extra.value)) return;
  addAll(specific, extra, 'extra_special_tokens');
  values.delete('extra_special_tokens');
}

function addAll(specific: Map<string, Special>, { value, path }: Argument, key: string): void {
  if (!isObject(value)) throw invalidValue(path, key, 'an object of tokens by name', value);
  expectFew(path, key, Object.keys(value).length);
  for (const [name, token] of Object.entries(value)) specific.set(name, readSpecial(path, `${name} of ${key}`, token));
}

/** Those that are no strings: they are found later, and come before the others. */
function remainingSpecific(values: Values): [string, Special][] {
  return [...values].flatMap(([key, { value, path }]): [string, Special][] =>
    isOwnName(key) && (typeof value === 'string' || value instanceof Token || isTypedToken(value))
      ? [[key, readSpecial(path, key, value)]]
      : [],
  );
}

function isOwnName(key: string): boolean {
  return key.endsWith('_token') && !(SPECIAL_TOKENS as readonly string[]).includes(key);
}

/**
 * The tokens that are declared with ids: those of added_tokens_decoder in tokenizer_config.json; without it, those of the
 * older files and of tokenizer.json, and what special_tokens_map.json says becomes part of the values.
 */
function declaredTokens(files: TokenizerFiles, values: Values, specific: Map<string, Special>): DeclaredToken[] {
  const decoder = values.get('added_tokens_decoder');
  values.delete('added_tokens_decoder');
  const declared = new Map<number, DeclaredToken>();
  const declare = (path: string, key: string, id: unknown, token: Token) => {
    if (!isTokenId(id)) throw invalidValue(path, key, 'a token id', id);
    const other = declared.get(id);
    if (other !== undefined && other.token.content !== token.content) {
      const expected = `an id of its own (${id} is the id of ${quoted(other.token.content)})`;
      throw invalidValue(path, key, expected, id);
    }
    declared.set(id, { id, token, path });
  };
  if (decoder !== undefined) {
    const { value, path } = decoder;
    if (!isObject(value)) throw invalidValue(path, 'added_tokens_decoder', 'an object of tokens by id', value);
    expectFew(path, 'added_tokens_decoder', Object.keys(value).length);
    for (const [id, token] of Object.entries(value)) {
      const key = `${id} of added_tokens_decoder`;
      declare(path, key, /^\d{1,10}$/.test(id) ? Number(id) : id, readToken(path, key, token));
    }
  } else {
    addSpecialTokensMap(files, values, specific);
    addAddedTokens(files, values, declare);
    for (const { id, token, path } of definedTokens(files)) declare(path, token.content, id, token);
  }
  return [...declared.values()].sort((a, b) => a.id - b.id);
}

type Declare = (path: string, key: string, id: unknown, token: Token) => void;

/** special_tokens_map.json overrules tokenizer_config.json. */
function addSpecialTokensMap(
  { directory, specialTokens }: TokenizerFiles,
  values: Values,
  specific: Map<string, Special>,
): void {
  if (specialTokens === undefined) return;
  const path = join(directory, FILES.specialTokens);
  const extra = 'extra_special_tokens';
  const own: Values = new Map();
  for (const [key, value] of Object.entries(specialTokens)) {
    if (key === extra && Array.isArray(value)) own.set(key, { value: merged(values.get(extra), value, path), path });
    else if (isObject(value) && key !== extra) own.set(key, { value: readToken(path, key, value, true), path });
    else own.set(key, { value, path });
  }
  const reserved = NO_TOKENS.find((key) => own.has(key));
  if (reserved !== undefined) throw unusable(reserved, path);
  for (const [key, value] of own) values.set(key, value);
  takeNamedExtra(values, specific);
}

/** The tokens of tokenizer_config.json, then those of special_tokens_map.json that are not among them. */
function merged(existing: Argument | undefined, more: readonly unknown[], path: string): unknown[] {
  const before = existing?.value ?? [];
  if (!Array.isArray(before)) throw invalidValue(existing!.path, 'extra_special_tokens', 'an array of tokens', before);
  expectFew(path, 'extra_special_tokens', more.length);
  const read = (value: unknown) => (isObject(value) ? readToken(path, 'extra_special_tokens', value, true) : value);
  return [...new Set([...(before as unknown[]), ...more.map(read)])];
}

/** added_tokens.json: ids by token. They are special where they are named as such. */
function addAddedTokens({ directory, addedTokens }: TokenizerFiles, values: Values, declare: Declare): void {
  if (addedTokens === undefined) return;
  const path = join(directory, FILES.addedTokens);
  expectFew(path, 'the file', Object.keys(addedTokens).length);
  const extra = values.get('extra_special_tokens')?.value;
  const named = [...SPECIAL_TOKENS.map((name) => values.get(name)?.value), ...(Array.isArray(extra) ? extra : [])];
  const isName = (value: unknown): value is Special => typeof value === 'string' || value instanceof Token;
  const special = new Set(named.filter(isName).map(contentOf));
  for (const [content, id] of Object.entries(addedTokens)) {
    const isSpecial = special.has(content);
    const token = readToken(path, 'a token', { content, special: isSpecial, normalized: !isSpecial });
    declare(path, quoted(content), id, token);
  }
}

/**
 * The added tokens of tokenizer.json, in their order.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function definedTokens({ directory, definition }: TokenizerFiles): DeclaredToken[] {
  const path = join(directory, FILES.definition);
  const tokens = definition?.added_tokens ?? [];
  if (!Array.isArray(tokens)) throw invalidValue(path, 'added_tokens', 'an array', tokens);
  expectFew(path, 'added_tokens', tokens.length);
  return tokens.map((value: unknown, i) => {
    const token = readToken(path, `added_tokens[${i}]`, value);
    const { id } = value as { id: unknown };
    if (!isTokenId(id)) throw invalidValue(path, `id of added_tokens[${i}]`, 'a token id', id);
    return { id, token, path };
  });
}

/** The named special tokens, with the flags that their declarations give them. */
function namedTokens(values: Values, declared: readonly DeclaredToken[]): Map<string, Special | null> {
  const declarations = new Map(declared.map(({ token }) => [token.content, token]));
  const named = new Map<string, Special | null>();
  for (const name of SPECIAL_TOKENS) {
    const given = values.get(name);
    if (given === undefined) continue;
    const token = given.value === null ? null : readSpecial(given.path, name, given.value);
    named.set(name, token === null ? null : (declarations.get(contentOf(token)) ?? token));
  }
  return named;
}

function extraTokens(values: Values): Special[] | undefined {
  const key = values.has('extra_special_tokens') ? 'extra_special_tokens' : 'additional_special_tokens';
  const given = values.get(key);
  if (given === undefined) return undefined;
  const { value, path } = given;
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalidValue(path, key, 'an array of tokens', value);
  expectFew(path, key, value.length);
  return value.map((token: unknown, i) => readSpecial(path, `${key}[${i}]`, token));
}

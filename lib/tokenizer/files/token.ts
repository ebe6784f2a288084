import { invalidValue } from '../../files/errors.js';
import { isObject } from '../../files/json.js';

/** The longest added token, in UTF-16 units: far above any, and what looking for tokens may cost. */
const MAX_LENGTH = 10_000;

/** The most tokens in one place of a file: far above any tokenizer's. */
const MAX_TOKENS = 100_000;

const FLAGS = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const;

type Flags = Record<(typeof FLAGS)[number], boolean>;

/** transformers' AddedToken: a token as the files declare it, which need not have an id yet. */
export class Token {
  /** @param given `normalized` defaults to what is not special, the other flags to false. */
  constructor(
    readonly content: string,
    private readonly given: Partial<Flags> = {},
  ) {}

  get flags(): Flags {
    const { single_word = false, lstrip = false, rstrip = false, special = false } = this.given;
    return { single_word, lstrip, rstrip, normalized: this.given.normalized ?? !special, special };
  }

  /** As a key: the same for tokens with the same content and flags. */
  get identity(): string {
    return `${Object.values(this.flags).map(Number).join('')}${this.content}`;
  }

  /** The same token, special. */
  asSpecial(): Token {
    return new Token(this.content, { ...this.given, special: true });
  }
}

/** A special token: a name alone, or with flags of its own. */
export type Special = string | Token;

/** The text of a special token. */
export function contentOf(token: Special): string {
  return typeof token === 'string' ? token : token.content;
}

/**
 * Reads an AddedToken from JSON. Keys that it does not have are passed over, as in transformers.
 *
 * @param path the file, and `key` the place in it, for messages
 * @param special whether it is special whatever the value says. Defaults to what it says
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function readToken(path: string, key: string, value: unknown, special?: boolean): Token {
  if (!isObject(value)) throw invalidValue(path, key, 'an added token', value);
  const content = expectContent(path, `content of ${key}`, value.content);
  const flags: Partial<Flags> = {};
  for (const flag of FLAGS) {
    const given = value[flag];
    if (given === undefined) continue;
    if (typeof given !== 'boolean') throw invalidValue(path, `${flag} of ${key}`, 'true or false', given);
    flags[flag] = given;
  }
  return new Token(content, special === undefined ? flags : { ...flags, special });
}

/**
 * Reads a token that is a string, or an AddedToken marked as such (`"__type": "AddedToken"`).
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function readSpecial(path: string, key: string, value: unknown): Special {
  if (value instanceof Token) return value;
  if (isTypedToken(value)) return readToken(path, key, value);
  if (typeof value !== 'string') throw invalidValue(path, key, 'a token (a string or an AddedToken)', value);
  return expectContent(path, key, value);
}

/** Whether JSON says of itself that it is an AddedToken. */
export function isTypedToken(value: unknown): boolean {
  return isObject(value) && value.__type === 'AddedToken';
}

/** Refuses more tokens than any tokenizer has, before they are looked at. */
export function expectFew(path: string, key: string, count: number): void {
  if (count > MAX_TOKENS) throw invalidValue(path, key, `at most ${MAX_TOKENS} tokens`, count);
}

/** Ids are 32-bit numbers to everything that computes with them. */
export function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31 - 1;
}

/** The text of a token in a message. */
export function quoted(content: string): string {
  return JSON.stringify(content.length > 100 ? `${content.slice(0, 100)}…` : content);
}

function expectContent(path: string, key: string, value: unknown): string {
  if (typeof value === 'string' && value.length <= MAX_LENGTH) return value;
  throw invalidValue(path, key, `a string of at most ${MAX_LENGTH} characters`, value);
}

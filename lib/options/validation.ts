import { types } from 'node:util';
import { BertuneError } from '../errors.js';
import { option } from './names.js';

/*
 * Validation of what a user passes, in one sentence form:
 * "Expected a positive integer for batchSize but received -1".
 * Every function returns the value it was given, typed, or throws a BertuneError with the code INVALID_OPTION. Of objects
 * and arrays it returns a copy whose members were read once: what was checked is what is used, whatever a getter or a
 * Proxy says the next time, and however the caller changes its own while the work is under way.
 */

/** Bounds of a number; inclusive unless said. */
export interface NumberRange {
  /** The least value allowed. Defaults to no bound. */
  min?: number;
  /** The greatest value allowed. Defaults to no bound. */
  max?: number;
  /** Whether `min` itself is refused. Defaults to false. */
  minExclusive?: boolean;
  /** Whether `max` itself is refused. Defaults to false. */
  maxExclusive?: boolean;
}

/**
 * The error for an option that is not what was expected.
 *
 * @param name the option's name in code, e.g. `batchSize`; the message names it as the caller does
 * @param expected what would have been right, e.g. `a positive integer`
 * @param value what was received
 * @returns the error, to be thrown by the caller
 */
export function invalidOption(name: string, expected: string, value: unknown): BertuneError {
  return new BertuneError('INVALID_OPTION', `Expected ${expected} for ${option(name)} but received ${show(value)}`);
}

/** The greatest integer where native code counts in 32 bits. */
export const MOST_INT32 = 2 ** 31 - 1;

/** The greatest seed, which is that of NumPy and of Hugging Face's Trainer. */
const MOST_SEED = 2 ** 32 - 1;

/**
 * @param most Defaults to the greatest integer that a double holds exactly
 * @throws INVALID_OPTION unless `value` is an integer from 1 to `most`
 */
export function expectPositiveInteger(name: string, value: unknown, most = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw invalidOption(name, 'a positive integer', value);
  return expectAtMost(name, value as number, most);
}

/** @throws INVALID_OPTION unless `value` is an integer of at least 0 that a double holds exactly */
export function expectNonNegativeInteger(name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw invalidOption(name, 'a non-negative integer', value);
  return value as number;
}

/** @throws INVALID_OPTION unless `value` is an integer from 0 to 2^32 − 1 */
export function expectSeed(name: string, value: unknown): number {
  return expectAtMost(name, expectNonNegativeInteger(name, value), MOST_SEED);
}

function expectAtMost(name: string, value: number, most: number): number {
  if (value > most) throw invalidOption(name, `an integer of at most ${most}`, value);
  return value;
}

/** @throws INVALID_OPTION unless `value` is a finite number inside `range` */
export function expectNumberInRange(name: string, value: unknown, range: NumberRange): number {
  const { min = -Infinity, max = Infinity, minExclusive = false, maxExclusive = false } = range;
  const inside =
    typeof value === 'number' &&
    Number.isFinite(value) &&
    (minExclusive ? value > min : value >= min) &&
    (maxExclusive ? value < max : value <= max);
  if (!inside) throw invalidOption(name, rangeWords(min, max, minExclusive, maxExclusive), value);
  return value;
}

/** @throws INVALID_OPTION unless `value` is true or false */
export function expectBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidOption(name, 'a boolean', value);
  return value;
}

/** @throws INVALID_OPTION unless `value` is a string with at least one character */
export function expectString(name: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') throw invalidOption(name, 'a non-empty string', value);
  return value;
}

/** Longer than any path that a system takes. */
const MOST_PATH_CHARACTERS = 32_767;

/** @throws INVALID_OPTION unless `value` is a string that can be a path, or an id on the hub */
export function expectPath(name: string, value: unknown): string {
  const path = expectString(name, value);
  if (path.includes('\0')) throw invalidOption(name, 'a path without a NUL character', path);
  if (path.length > MOST_PATH_CHARACTERS) {
    throw invalidOption(name, `a path of at most ${MOST_PATH_CHARACTERS} characters`, path);
  }
  return path;
}

/** @throws INVALID_OPTION unless `value` is one of `choices` */
export function expectOneOf<const Choice extends string>(
  name: string,
  value: unknown,
  choices: readonly Choice[],
): Choice {
  if (!(choices as readonly unknown[]).includes(value))
    throw invalidOption(name, `one of ${choices.join(', ')}`, value);
  return value as Choice;
}

/** @throws INVALID_OPTION unless `value` can be called */
export function expectFunction(name: string, value: unknown): (...args: never[]) => unknown {
  if (typeof value !== 'function') throw invalidOption(name, 'a function', value);
  return value as (...args: never[]) => unknown;
}

/** What expectObject returns: the type it was given, where it has one. */
type Checked<T> = unknown extends T ? Record<string, unknown> : T;

/** Objects of the language's own that are no options, e.g. a promise that was not awaited. */
const NO_OPTIONS = [
  types.isAnyArrayBuffer,
  types.isArrayBufferView,
  types.isBoxedPrimitive,
  types.isDate,
  types.isMap,
  types.isNativeError,
  types.isPromise,
  types.isRegExp,
  types.isSet,
];

/**
 * An object of options with known keys only, so that a misspelt option is an error and not a silent default.
 *
 * @param name what the object is called in messages, e.g. `options`
 * @param value the object
 * @param allowedKeys every key it may have
 * @returns a copy that has those of the keys whose values are not undefined
 * @throws INVALID_OPTION when it is no object of options, or has another key; the message names the nearest allowed one
 */
export function expectObject<T>(name: string, value: T, allowedKeys: readonly string[]): Checked<T> {
  if (typeof value !== 'object' || value === null || isArray(value) || NO_OPTIONS.some((is) => is(value))) {
    throw invalidOption(name, 'an object', value);
  }
  for (const key of Object.keys(value)) {
    if (allowedKeys.includes(key)) continue;
    const near = nearest(key, allowedKeys);
    const advice = near === undefined ? `expected one of ${allowedKeys.join(', ')}` : `did you mean ${near}?`;
    throw new BertuneError('INVALID_OPTION', `Unknown option ${shorten(key)} in ${name}: ${advice}`);
  }
  const copy: Record<string, unknown> = {};
  for (const key of allowedKeys) {
    const item = (value as Record<string, unknown>)[key];
    if (item !== undefined) copy[key] = item;
  }
  return copy as Checked<T>;
}

/** @throws INVALID_OPTION unless `value` is an AbortSignal */
export function expectAbortSignal(name: string, value: unknown): AbortSignal {
  if (!(value instanceof AbortSignal) || !hasState(value)) throw invalidOption(name, 'an AbortSignal', value);
  return value;
}

/** Whether it is more than an object with AbortSignal's prototype. */
function hasState(signal: AbortSignal): boolean {
  try {
    return typeof signal.aborted === 'boolean';
  } catch {
    return false;
  }
}

/**
 * A copy of an array up to the first element that is not right, which holes are not either.
 *
 * @returns `items`: the copy · `odd`: the index of the element that is not right, −1 for none
 */
export function copyArray<T>(
  array: readonly unknown[],
  isRight: (item: unknown) => item is T,
): { items: T[]; odd: number } {
  const items: T[] = [];
  const { length } = array;
  for (let i = 0; i < length; i++) {
    const item = array[i];
    if (!isRight(item)) return { items, odd: i };
    items.push(item);
  }
  return { items, odd: -1 };
}

/** For copyArray. */
export function isString(value: unknown): value is string {
  return typeof value === 'string';
}

/** Array.isArray, which throws at a proxy that has been revoked. */
export function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** @throws INVALID_OPTION unless `value` is an array of distinct, non-empty strings with at least one element */
export function expectNames(name: string, value: unknown): string[] {
  const { items, odd } = isArray(value) ? copyArray(value, isString) : { items: [], odd: 0 };
  if (odd >= 0 || items.length === 0 || items.includes('') || new Set(items).size !== items.length) {
    throw invalidOption(name, 'an array of distinct non-empty strings', value);
  }
  return items;
}

/** The longest word that is looked for among others, in characters. */
const LONGEST_WORD = 200;

/**
 * The candidate that a misspelt word most likely meant.
 *
 * @returns the candidate at the smallest edit distance (case ignored), or undefined when none is close
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  // A distance takes the product of the lengths.
  if (word.length > LONGEST_WORD) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    if (candidate.length > LONGEST_WORD) continue;
    // So many letters have to come or go at least, and long words would take long.
    if (Math.abs(word.length - candidate.length) >= bestDistance) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance: the insertions, deletions and replacements that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}

function rangeWords(min: number, max: number, minExclusive: boolean, maxExclusive: boolean): string {
  const lower = minExclusive ? `greater than ${min}` : `of at least ${min}`;
  const upper = maxExclusive ? `less than ${max}` : `at most ${max}`;
  if (min === -Infinity && max === Infinity) return 'a finite number';
  if (min === -Infinity) return `a number ${maxExclusive ? upper : `of ${upper}`}`;
  return max === Infinity ? `a number ${lower}` : `a number ${lower} and ${upper}`;
}

const SHOWN_CHARACTERS = 80;

/** A text as it is written in a message. */
export function shorten(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text;
}

/** A value as it is written in a message: short, on one line, never throwing. */
export function show(value: unknown): string {
  if (typeof value === 'function') return `the function ${shorten(nameOf(value))}`;
  if (typeof value === 'bigint') return shorten(`${value}n`);
  if (typeof value !== 'string' && (typeof value !== 'object' || value === null)) {
    return Object.is(value, -0) ? '-0' : String(value);
  }
  try {
    const json = JSON.stringify(value, firstOf(value));
    // Of a Promise or a Map JSON shows no more than of an empty object.
    return json === undefined || json === '{}' ? shorten(objectTag(value)) : shorten(json);
  } catch {
    return tagOf(value);
  }
}

/** JSON.stringify's replacer that leaves no more of a value than is shown, and gives up on one of many members. */
function firstOf(whole: unknown): (key: string, value: unknown) => unknown {
  let members = 0;
  return (_key, value) => {
    if (++members > SHOWN_CHARACTERS && value !== whole) throw new RangeError('enough');
    if (typeof value === 'string') return value.slice(0, SHOWN_CHARACTERS + 1);
    if (ArrayBuffer.isView(value)) return Object.prototype.toString.call(value);
    return isArray(value) ? Array.prototype.slice.call(value, 0, SHOWN_CHARACTERS / 2) : value;
  };
}

/** `{}` of a plain object, else its kind. */
function objectTag(value: unknown): string {
  const tag = Object.prototype.toString.call(value);
  return tag === '[object Object]' ? '{}' : tag;
}

function nameOf(value: { readonly name?: unknown }): string {
  try {
    if (typeof value.name === 'string' && value.name !== '') return value.name;
  } catch {
    // A getter of the caller's.
  }
  return '(anonymous)';
}

function tagOf(value: unknown): string {
  try {
    return shorten(Object.prototype.toString.call(value));
  } catch {
    return '[object Object]';
  }
}

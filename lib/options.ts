import { BertuneError } from './errors.js';

/*
 * Validation of what a user passes, in one sentence form:
 * "Expected a positive integer for batchSize but received -1 of type number".
 * Every function returns the value it was given, typed, or throws a BertuneError with the code INVALID_OPTION.
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
 * @param name the option, as the caller spells it, e.g. `batchSize`
 * @param expected what would have been right, e.g. `a positive integer`
 * @param value what was received
 * @returns the error, to be thrown by the caller
 */
export function invalidOption(name: string, expected: string, value: unknown): BertuneError {
  return new BertuneError(
    'INVALID_OPTION',
    `Expected ${expected} for ${name} but received ${show(value)} of type ${typeName(value)}`,
  );
}

/** @throws INVALID_OPTION unless `value` is an integer of at least 1 that a double holds exactly */
export function expectPositiveInteger(name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw invalidOption(name, 'a positive integer', value);
  return value as number;
}

/** @throws INVALID_OPTION unless `value` is an integer of at least 0 that a double holds exactly */
export function expectNonNegativeInteger(name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw invalidOption(name, 'a non-negative integer', value);
  return value as number;
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

/**
 * An object of options with known keys only, so that a misspelt option is an error and not a silent default.
 *
 * @param name what the object is called in messages, e.g. `options`
 * @param value the object
 * @param allowedKeys every key it may have
 * @throws INVALID_OPTION when it is not a plain object, or has another key; the message names the nearest allowed one
 */
export function expectObject(name: string, value: unknown, allowedKeys: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidOption(name, 'an object', value);
  }
  for (const key of Object.keys(value)) {
    if (allowedKeys.includes(key)) continue;
    const near = nearest(key, allowedKeys);
    const advice = near === undefined ? `expected one of ${allowedKeys.join(', ')}` : `did you mean ${near}?`;
    throw new BertuneError('INVALID_OPTION', `Unknown option ${key} in ${name}: ${advice}`);
  }
  return value as Record<string, unknown>;
}

/** @throws INVALID_OPTION unless `value` is an AbortSignal */
export function expectAbortSignal(name: string, value: unknown): AbortSignal {
  if (!(value instanceof AbortSignal)) throw invalidOption(name, 'an AbortSignal', value);
  return value;
}

/** @throws INVALID_OPTION unless `value` is an array of distinct, non-empty strings with at least one element */
export function expectNames(name: string, value: unknown): readonly string[] {
  const names =
    Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string' && item !== '');
  if (!names || new Set(value).size !== value.length) {
    throw invalidOption(name, 'an array of distinct non-empty strings', value);
  }
  return value as readonly string[];
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

/** A value as it is written in a message: short, on one line, never throwing. */
function show(value: unknown): string {
  let text: string;
  if (typeof value === 'function') text = value.name || '(anonymous)';
  else if (typeof value === 'string' || (typeof value === 'object' && value !== null)) {
    try {
      text = JSON.stringify(value) ?? Object.prototype.toString.call(value);
    } catch {
      text = Object.prototype.toString.call(value);
    }
  } else text = Object.is(value, -0) ? '-0' : String(value);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

import { BertuneError } from '../errors.js';

/** As deep as the reference reader of safetensors goes; code that walks through values calls itself. */
export const MAX_JSON_DEPTH = 128;

/** What Python's json writes where JSON has no number. */
const WORDS = ['NaN', 'Infinity', '-Infinity'];

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = /[[{]/;
const CLOSING = /[\]}]/;

/**
 * Parses JSON that others wrote. Nesting deeper than 128 is refused: JSON.parse takes it, but what is done with the value
 * afterwards may not.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  expectShallow(outline(text).depth);
  return JSON.parse(text);
}

/**
 * Parses an object of JSON as parseJson does, but by the rules of rows of data: NaN, Infinity and -Infinity, as Python's
 * json writes them, are numbers (all three are read as Infinity), and a key that occurs twice is refused.
 *
 * @throws SyntaxError
 */
export function parseJsonRow(text: string): unknown {
  const { depth, members } = outline(text);
  expectShallow(depth);
  const value = parsePython(text);
  if (isObject(value) && Object.keys(value).length < members) throw new SyntaxError('a key occurs twice');
  return value;
}

/** Whether a value from JSON is an object, neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsePython(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const other = withoutWords(text);
    if (other === text) throw error;
    return JSON.parse(other);
  }
}

function expectShallow(depth: number): void {
  if (depth > MAX_JSON_DEPTH) throw new SyntaxError(`it is nested deeper than ${MAX_JSON_DEPTH}`);
}

/** The index after the closing quote of the string that starts at `start`, or the end of the text. */
export function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1;
  return Math.min(i + 1, text.length);
}

/** How deep a text is nested, up to just beyond what is allowed, and how many members its outermost object has. */
function outline(text: string): { depth: number; members: number } {
  let [depth, deepest, members] = [0, 0, 0];
  for (let i = 0; i < text.length && depth <= MAX_JSON_DEPTH; i++) {
    const code = text.charCodeAt(i);
    // Past a string, whose brackets do not count.
    if (code === QUOTE) i = endOfString(text, i) - 1;
    else if (code === 0x5b || code === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x5d || code === 0x7d) depth--;
    else if (code === 0x3a && depth === 1) members++;
  }
  return { depth: deepest, members };
}

/** JSON in place of Python's: its words for numbers that are not finite as one that overflows. */
function withoutWords(text: string): string {
  const parts: string[] = [];
  let done = 0;
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) === QUOTE) {
      i = endOfString(text, i) - 1;
      continue;
    }
    const word = WORDS.find((each) => text.startsWith(each, i));
    if (word === undefined) continue;
    // Spaces keep what stands beside it apart.
    parts.push(text.slice(done, i), ' 1e999 ');
    done = i + word.length;
    i = done - 1;
  }
  return parts.length === 0 ? text : parts.join('') + text.slice(done);
}

/**
 * The members of an object of JSON as they are written: values in JavaScript lose digits of large integers, and put keys
 * that are integers first.
 *
 * @param text of one object, valid
 * @returns its keys and the text of each value, in the order of the text
 */
export function jsonMembers(text: string): [key: string, value: string][] {
  const members: [string, string][] = [];
  let depth = 0;
  let key = '';
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === '"') {
      i = endOfString(text, i) - 1;
    } else if (character === ':' && depth === 1) {
      key = JSON.parse(text.slice(start, i)) as string;
      start = i + 1;
    } else if (depth === 1 && (character === ',' || character === '}')) {
      const value = text.slice(start, i).trim();
      if (value !== '') members.push([key, value]);
      start = i + 1;
      if (character === '}') break;
    } else if (OPENING.test(character)) {
      if (depth++ === 0) start = i + 1;
    } else if (CLOSING.test(character)) {
      depth--;
    }
  }
  return members;
}

/** Typed members of an object of JSON; each throws CHECKPOINT_INVALID naming the member. */
export class JsonFields {
  readonly json: Record<string, unknown>;
  readonly #path: string;
  readonly #within: string;

  /**
   * @param path of the file, for messages
   * @param within where in the file the object is: '' or `a.b.`
   */
  constructor(json: Record<string, unknown>, path: string, within = '') {
    this.json = json;
    this.#path = path;
    this.#within = within;
  }

  number(name: string): number {
    const value = this.json[name];
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.error(name, 'a number', value);
    return value;
  }

  /** A non-negative integer. */
  count(name: string): number {
    const value = this.number(name);
    if (!Number.isSafeInteger(value) || value < 0) throw this.error(name, 'a non-negative integer', value);
    return value;
  }

  text(name: string): string {
    const value = this.json[name];
    if (typeof value !== 'string') throw this.error(name, 'a string', value);
    return value;
  }

  list(name: string): unknown[] {
    const value = this.json[name];
    if (!Array.isArray(value)) throw this.error(name, 'an array', value);
    return value;
  }

  object(name: string): JsonFields {
    return this.#fieldsOf(name, this.json[name]);
  }

  objects(name: string): JsonFields[] {
    return this.list(name).map((value, i) => this.#fieldsOf(`${name}[${i}]`, value));
  }

  /** null for null. */
  optional(name: string): JsonFields | null {
    return this.json[name] === null ? null : this.object(name);
  }

  error(name: string, expected: string, value: unknown): BertuneError {
    const found = value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 100);
    return new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${expected} for ${this.#within}${name} in ${this.#path} but found ${found}`,
    );
  }

  #fieldsOf(name: string, value: unknown): JsonFields {
    if (!isObject(value)) throw this.error(name, 'an object', value);
    return new JsonFields(value, this.#path, `${this.#within}${name}.`);
  }
}

import { BertuneError } from '../errors.js';
import { isObject } from './input.js';

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

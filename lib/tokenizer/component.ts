import { BertuneError } from '../errors.js';
import type { Component } from './definition.js';

/** What is wrong with a part of a tokenizer, or not known of it. `namingDirectory` says in which directory. */
export class ComponentError extends Error {
  /**
   * @param component the part, e.g. 'pre_tokenizer Split'
   * @param problem what is wrong with it, and what to do
   */
  constructor(component: string, problem: string) {
    super(`${component}: ${problem}`);
  }
}

/** Most parts of one kind in a tokenizer, those inside of Sequences counted. */
const MOST_PARTS = 64;
/** Most Sequences inside of each other. */
const MOST_LEVELS = 8;

/** Reads the settings of one part of tokenizer.json, and names it in errors. */
export class Settings {
  private readonly name: string;

  /**
   * @param kind of the part, e.g. 'normalizer'
   * @param component as tokenizer.json has it
   */
  constructor(
    kind: string,
    private readonly component: Component,
  ) {
    this.name = `${kind} ${component.type}`;
  }

  /** The error for a part that cannot be used. */
  error(problem: string): ComponentError {
    return new ComponentError(this.name, problem);
  }

  /** A setting as it stands there. */
  get(key: string): unknown {
    return this.component[key] ?? undefined;
  }

  boolean(key: string, fallback?: boolean): boolean {
    return this.value(key, (value): value is boolean => typeof value === 'boolean', 'true or false', fallback);
  }

  string(key: string, fallback?: string): string {
    return this.value(key, (value): value is string => typeof value === 'string', 'a string', fallback);
  }

  /** A string of one character. */
  character(key: string): string {
    const isCharacter = (value: unknown): value is string => typeof value === 'string' && [...value].length === 1;
    return this.value(key, isCharacter, 'one character');
  }

  oneOf<T extends string>(key: string, values: readonly T[], fallback?: T): T {
    const isKnown = (value: unknown): value is T => (values as readonly unknown[]).includes(value);
    return this.value(key, isKnown, values.join(', '), fallback);
  }

  /** A pattern: a string to be found as it is, or a regular expression. */
  pattern(key: string): { string: string } | { regex: string } {
    const value = this.get(key);
    if (typeof value === 'object' && value !== null) {
      if ('String' in value && typeof value.String === 'string') return { string: value.String };
      if ('Regex' in value && typeof value.Regex === 'string') return { regex: value.Regex };
    }
    throw this.error(`${key} must be {"String": ...} or {"Regex": ...}`);
  }

  private value<T>(key: string, isRight: (value: unknown) => value is T, expected: string, fallback?: T): T {
    const value = this.get(key) ?? fallback;
    if (isRight(value)) return value;
    const found = value === undefined ? 'is missing' : `is ${JSON.stringify(value).slice(0, 100)}`;
    throw this.error(`${key} ${found}; set it to ${expected}`);
  }
}

/**
 * The parts of a component: itself, or those of a Sequence, one after the other, however they are nested.
 *
 * @param kind of the part, e.g. 'normalizer'
 * @param key under which a Sequence of that kind lists its parts
 * @throws ComponentError where there are too many, or one is none
 */
export function flatten(kind: string, component: Component | null, key: string): Component[] {
  const parts: Component[] = [];
  const add = (part: unknown, level: number) => {
    if (typeof part !== 'object' || part === null || typeof (part as Component).type !== 'string') {
      throw new ComponentError(kind, 'every part must be an object with a "type"');
    }
    const { type, [key]: inner } = part as Component;
    if (type !== 'Sequence') parts.push(part as Component);
    else if (!Array.isArray(inner)) throw new ComponentError(`${kind} Sequence`, `${key} must be an array`);
    else if (level >= MOST_LEVELS) throw new ComponentError(`${kind} Sequence`, `nest at most ${MOST_LEVELS} of them`);
    else for (const each of inner) add(each, level + 1);
    if (parts.length > MOST_PARTS) throw new ComponentError(kind, `use at most ${MOST_PARTS} parts`);
  };
  if (component !== null) add(component, 0);
  return parts;
}

/**
 * Does what a tokenizer's files may make impossible: code that trusts them throws at what they should not hold.
 *
 * @param directory of the files, for messages
 * @throws BertuneError CHECKPOINT_INVALID, or the error of ours that `work` threw
 */
export function namingDirectory<T>(directory: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof BertuneError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BertuneError('CHECKPOINT_INVALID', `Cannot use the tokenizer of ${directory}: ${reason}`, { cause });
  }
}

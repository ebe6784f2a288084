import { ComponentError } from '../component.js';
import type { Steps } from '../steps.js';

/** Turns a word into ids. */
export interface Model {
  /** The ids of a word that is not empty. They must not be changed. */
  encode(word: string): Steps<readonly number[]>;
  /** The id of a token, where the vocabulary has it. */
  idOf(token: string): number | undefined;
  /** How many tokens the vocabulary has. */
  readonly size: number;
  /** One more than its largest id. */
  readonly idLimit: number;
}

/** A model's settings as tokenizer.json has them. */
export type ModelSettings = { type?: string; vocab: unknown } & Record<string, unknown>;

/** A vocabulary from a token to its id. */
export class Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  readonly idLimit: number;

  /** @param name of the model, for errors */
  constructor(
    private readonly name: string,
    vocab: unknown,
  ) {
    if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab)) {
      throw new ComponentError(`model ${name}`, 'vocab must be an object with an id for each token');
    }
    this.ids = new Map(Object.entries(vocab as Record<string, number>));
    let limit = 0;
    for (const id of this.ids.values()) limit = Math.max(limit, id + 1);
    this.idLimit = limit;
  }

  /** The id of the token for what is unknown. Asked for when it is needed: not every text needs it. */
  unknown(token: string): number {
    const id = this.ids.get(token);
    if (id !== undefined) return id;
    throw new ComponentError(
      `model ${this.name}`,
      `the text has a word without a token, and the unknown token ${JSON.stringify(token)} is not in the vocabulary; add it`,
    );
  }
}

/** Words and their ids, as long as there are few: most texts repeat their words. */
export class WordCache {
  private readonly words = new Map<string, readonly number[]>();

  get(word: string): readonly number[] | undefined {
    return this.words.get(word);
  }

  set(word: string, ids: readonly number[]): void {
    if (word.length > LONGEST_CACHED) return;
    if (this.words.size >= MOST_CACHED) this.words.clear();
    this.words.set(word, ids);
  }
}

const LONGEST_CACHED = 64;
const MOST_CACHED = 10_000;

/** Reads a setting of a model that is a string, or nothing. */
export function textSetting(name: string, model: ModelSettings, key: string): string | undefined {
  const value = model[key] ?? undefined;
  if (value === undefined || typeof value === 'string') return value;
  throw new ComponentError(`model ${name}`, `${key} must be a string or null`);
}

/** Reads a setting of a model that is true or false: false where it is missing. */
export function flagSetting(name: string, model: ModelSettings, key: string): boolean {
  const value = model[key] ?? false;
  if (typeof value === 'boolean') return value;
  throw new ComponentError(`model ${name}`, `${key} must be true or false`);
}

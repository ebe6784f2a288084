import { join } from 'node:path';
import { modelTypeOf } from '../../architectures/index.js';
import { BertuneError } from '../../errors.js';
import { isFile, readJsonObject } from '../../files/input.js';

/** A JSON file's outermost object. */
export type Json = Record<string, unknown>;

/** The JSON files of a directory that say what its tokenizer is. */
export interface TokenizerFiles {
  directory: string;
  /** tokenizer_config.json. Empty where there is none. */
  config: Json;
  /** tokenizer.json. */
  definition: Json | undefined;
  /** special_tokens_map.json, of older checkpoints. */
  specialTokens: Json | undefined;
  /** added_tokens.json, of older checkpoints. */
  addedTokens: Json | undefined;
  /** What config.json says of the model: its type, and the class of its tokenizer. */
  model: { type: unknown; tokenizerClass: unknown };
}

/** Names of the files of a tokenizer. */
export const FILES = {
  config: 'tokenizer_config.json',
  definition: 'tokenizer.json',
  specialTokens: 'special_tokens_map.json',
  addedTokens: 'added_tokens.json',
  vocabulary: 'vocab.txt',
  bytePairs: 'vocab.json',
  merges: 'merges.txt',
  model: 'config.json',
} as const;

/** Those of the tokenizer alone. */
export const TOKENIZER_FILES: readonly string[] = Object.values(FILES).filter((name) => name !== FILES.model);

/**
 * Reads the JSON files of a directory's tokenizer that are there.
 *
 * @throws BertuneError CHECKPOINT_INVALID where one is broken
 */
export async function readFiles(directory: string): Promise<TokenizerFiles> {
  const read = (name: string): Promise<Json | undefined> => ifThere(readJsonObject(join(directory, name)));
  const model = (await read(FILES.model)) ?? {};
  return {
    directory,
    config: (await read(FILES.config)) ?? {},
    definition: await read(FILES.definition),
    specialTokens: await read(FILES.specialTokens),
    addedTokens: await read(FILES.addedTokens),
    model: { type: modelTypeOf(model), tokenizerClass: model.tokenizer_class },
  };
}

/** Whether the directory has a file of this name. */
export function hasFile(directory: string, name: string): Promise<boolean> {
  return isFile(join(directory, name));
}

/** What was read, or undefined where there is no such file. */
export async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((cause: unknown) => {
    if (cause instanceof BertuneError && cause.code === 'NOT_FOUND') return undefined;
    throw cause;
  });
}

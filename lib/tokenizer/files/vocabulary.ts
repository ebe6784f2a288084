import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import { readJsonObject, readText } from '../../files/input.js';
import { isObject } from '../../files/json.js';
import { FILES, ifThere, type Json, type TokenizerFiles } from './source.js';
import { isTokenId, quoted } from './token.js';

/** Far above any list of word pieces or merges. */
const MAX_BYTES = 64 * 2 ** 20;

/** Ids by piece. */
export type Vocabulary = Record<string, number>;

/** A piece and its logarithmic probability. */
export type ScoredPiece = [piece: string, score: number];

/** The kinds of models that tokenizer.json names. */
export type ModelKind = 'WordPiece' | 'BPE' | 'Unigram' | 'WordLevel';

/**
 * The model of tokenizer.json, which has to be of the kind that the class makes.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function modelOf(
  { directory, definition }: TokenizerFiles,
  kind: ModelKind,
  className: string,
): Json | undefined {
  if (definition === undefined) return undefined;
  const path = join(directory, FILES.definition);
  const { model } = definition;
  if (!isObject(model)) throw invalidValue(path, 'model', 'an object', model);
  const found = model.type ?? kindOf(model) ?? kind;
  if (found === kind) return model;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `${className} makes a ${kind} model of its files, but that of ${path} is ${JSON.stringify(found)}: ` +
      'name PreTrainedTokenizerFast as tokenizer_class in tokenizer_config.json to take it as it is',
  );
}

/** Older files do not say what their model is: it is known by its settings. */
export function kindOf(model: Json): ModelKind | undefined {
  if ('merges' in model) return 'BPE';
  if ('continuing_subword_prefix' in model) return 'WordPiece';
  return 'unk_id' in model ? 'Unigram' : undefined;
}

/**
 * The vocabulary of a model in tokenizer.json. A list is one of pieces by id.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
export function vocabularyOf(directory: string, { vocab }: Json): Vocabulary {
  const path = join(directory, FILES.definition);
  if (Array.isArray(vocab)) {
    const pieces = vocab.map((entry: unknown) => (Array.isArray(entry) ? (entry[0] as unknown) : entry));
    if (pieces.every((piece) => typeof piece === 'string')) {
      return Object.fromEntries(pieces.map((piece, id) => [piece, id]));
    }
  }
  return checkIds(path, 'vocab', vocab);
}

/** The pieces of a Unigram model in tokenizer.json, by id. */
export function scoredPieces(directory: string, { vocab }: Json): ScoredPiece[] {
  const isScored = (entry: unknown) =>
    Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && typeof entry[1] === 'number';
  if (Array.isArray(vocab) && vocab.length > 0 && vocab.every(isScored)) return vocab as ScoredPiece[];
  throw invalidValue(join(directory, FILES.definition), 'vocab', 'an array of pieces and their scores', vocab);
}

/** The pieces of a Unigram model in the place of a vocabulary. */
export function asVocabulary(pieces: readonly ScoredPiece[]): Vocabulary {
  return pieces as unknown as Vocabulary;
}

/** vocab.txt: a piece per line, its id the number of the line, without the white space at its end. */
export async function readPieces(directory: string): Promise<Vocabulary | undefined> {
  const text = await ifThere(readText(join(directory, FILES.vocabulary), MAX_BYTES));
  return text === undefined ? undefined : Object.fromEntries(lines(text).map((line, id) => [trimEnd(line), id]));
}

/** vocab.json and merges.txt: ids by piece, and pairs of pieces that become one. */
export async function readBytePairs(directory: string): Promise<{ vocab: Vocabulary; merges: string[][] } | undefined> {
  const path = join(directory, FILES.bytePairs);
  const vocab = await ifThere(readJsonObject(path));
  const text = await ifThere(readText(join(directory, FILES.merges), MAX_BYTES));
  if (vocab === undefined || text === undefined) return undefined;
  const merges = lines(text)
    .map((line) => line.replace(/\r$/, ''))
    .filter((line) => !line.startsWith('#version'))
    .map((line) => line.split(' '));
  if (merges.every(({ length }) => length === 2)) return { vocab: checkIds(path, 'the file', vocab), merges };
  throw new BertuneError('CHECKPOINT_INVALID', `Expected two pieces on each line of ${join(directory, FILES.merges)}`);
}

function checkIds(path: string, key: string, vocab: unknown): Vocabulary {
  if (!isObject(vocab)) throw invalidValue(path, key, 'a vocabulary (ids by piece)', vocab);
  for (const [piece, id] of Object.entries(vocab)) {
    if (!isTokenId(id)) throw invalidValue(path, quoted(piece), 'a token id', id);
  }
  return vocab as Vocabulary;
}

function lines(text: string): string[] {
  const all = text.split('\n');
  if (all.at(-1) === '') all.pop();
  return all;
}

/** Without white space at the end, as Unicode has it; trimEnd() has other characters. */
function trimEnd(line: string): string {
  let end = line.length;
  while (end > 0 && /\p{White_Space}/u.test(line[end - 1]!)) end--;
  return line.slice(0, end);
}

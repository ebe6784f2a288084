import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import { isObject } from '../../files/json.js';
import type { Component, TokenizerDefinition, TokenizerSettings } from '../definition.js';
import { addTokens } from './added-vocabulary.js';
import { Arguments, definedTokens, SPECIAL_TOKENS, type SpecialName } from './arguments.js';
import { tokenizersBackend } from './backend.js';
import { bertJapaneseTokenizer, bertTokenizer, distilBertTokenizer, mpnetTokenizer } from './bert.js';
import { type ClassName, chooseClass } from './classes.js';
import { camembertTokenizer, robertaTokenizer, xlmRobertaTokenizer } from './roberta.js';
import { FILES, hasFile, readFiles, type TokenizerFiles } from './source.js';
import type { Special } from './token.js';
import { SpecialTokens, type TokenizerClass } from './tokenizer-class.js';

const CLASSES: Readonly<Record<ClassName, TokenizerClass>> = {
  TokenizersBackend: tokenizersBackend,
  BertTokenizer: bertTokenizer,
  BertJapaneseTokenizer: bertJapaneseTokenizer,
  DistilBertTokenizer: distilBertTokenizer,
  MPNetTokenizer: mpnetTokenizer,
  RobertaTokenizer: robertaTokenizer,
  XLMRobertaTokenizer: xlmRobertaTokenizer,
  CamembertTokenizer: camembertTokenizer,
};

/**
 * Reads the tokenizer of a directory as AutoTokenizer of transformers 5 does: which class it is of, what that class
 * takes from its files, and which tokens are added with which ids.
 *
 * BertTokenizer and its kind make the tokenizer anew from the vocabulary of tokenizer.json or vocab.txt, under the
 * settings of tokenizer_config.json or their own; only TokenizersBackend (PreTrainedTokenizerFast) takes tokenizer.json
 * as it is. A vocab.txt that no other file says anything of is BERT's, where transformers would give up.
 *
 * @returns `definition`, what the tokenizer does, with all added tokens; `settings`, how it is used; `className`; `special`,
 *   its special tokens by name
 * @throws NOT_FOUND when the files of its class are not there, CHECKPOINT_INVALID when one is broken or the class is none
 *   that can be reproduced
 */
export async function readDefinition(directory: string): Promise<{
  definition: TokenizerDefinition;
  settings: TokenizerSettings;
  className: ClassName;
  special: Readonly<Partial<Record<SpecialName, string>>>;
}> {
  const files = await readFiles(directory);
  const className = await classOf(files);
  const kind = CLASSES[className];
  const given = new Arguments(files);
  const special = specialTokens(files, given, kind);
  const parts = await kind.build(files, given, special);
  const added = addTokens(directory, parts.model.vocab, {
    own: kind === tokenizersBackend ? definedTokens(files) : [],
    declared: given.declared,
    special: special.all,
    further: given.extra ?? kind.extra,
    isInFiles: (content) => given.names(content),
  });
  const idOf = (content: string) => added.idOf(content)!;
  const post_processor = kind.postProcessor ? kind.postProcessor(special, idOf) : postProcessorOf(files);
  return {
    definition: { ...parts, added_tokens: added.list(), post_processor },
    settings: readSettings(files, given, kind, special),
    className,
    special: Object.fromEntries(SPECIAL_TOKENS.map((name) => [name, special.get(name)])),
  };
}

async function classOf(files: TokenizerFiles): Promise<ClassName> {
  const { name, named } = chooseClass(files);
  if (named || name !== 'TokenizersBackend' || files.definition !== undefined) return name;
  if (await hasFile(files.directory, FILES.vocabulary)) return 'BertTokenizer';
  throw new BertuneError('NOT_FOUND', `Expected tokenizer.json or vocab.txt in ${files.directory} but found neither`);
}

function specialTokens(files: TokenizerFiles, given: Arguments, kind: TokenizerClass): SpecialTokens {
  const usual: Readonly<Record<string, Special>> = { ...paddingOf(files), ...kind.specialTokens };
  const named = SPECIAL_TOKENS.map((name): [string, Special | null] => [
    name,
    given.named.has(name) ? given.named.get(name)! : (usual[name] ?? null),
  ]);
  return new SpecialTokens(new Map([...named, ...given.specific]), files.directory);
}

/** The padding token of a tokenizer.json that was saved with its padding. */
function paddingOf({ definition }: TokenizerFiles): { pad_token?: string } {
  const padding = definition?.padding;
  return isObject(padding) && typeof padding.pad_token === 'string' ? { pad_token: padding.pad_token } : {};
}

function postProcessorOf({ directory, definition }: TokenizerFiles): Component | null {
  const value = definition?.post_processor ?? null;
  if (value === null || isObject(value)) return value;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected an object or null for post_processor in ${join(directory, FILES.definition)}`,
  );
}

/** A length that transformers writes for "no limit" is beyond this. */
const NO_LIMIT = 1e9;

/**
 * What a tokenizer's files say beside its definition.
 *
 * @throws BertuneError CHECKPOINT_INVALID
 */
function readSettings(
  files: TokenizerFiles,
  given: Arguments,
  kind: TokenizerClass,
  special: SpecialTokens,
): TokenizerSettings {
  return {
    modelMaxLength: maxLength(given),
    truncationSide: given.read('truncation_side', definedSide(files), "'left' or 'right'", isSide),
    splitSpecialTokens: given.flag('split_special_tokens', false),
    padToken: special.get('pad_token'),
    clsToken: special.get('cls_token'),
    sepToken: special.get('sep_token'),
    modelInputNames: given.read('model_input_names', kind.modelInputNames, 'an array of names', isNames),
  };
}

/** model_max_length, or max_len of older files. */
function maxLength(given: Arguments): number {
  const key = given.has('model_max_length') ? 'model_max_length' : 'max_len';
  const length = given.read<number | null>(key, null, 'a positive integer or null', (value) => {
    const isLength = typeof value === 'number' && (value >= NO_LIMIT || (Number.isInteger(value) && value > 0));
    return value === null || isLength;
  });
  return length === null || length >= NO_LIMIT ? Number.POSITIVE_INFINITY : length;
}

/** The side that tokenizer.json cuts, where it was saved with its truncation. */
function definedSide({ directory, definition }: TokenizerFiles): 'left' | 'right' {
  const truncation = definition?.truncation ?? null;
  if (truncation === null) return 'right';
  const direction = isObject(truncation) ? (truncation.direction ?? 'Right') : truncation;
  if (direction === 'Left') return 'left';
  if (direction === 'Right') return 'right';
  throw invalidValue(join(directory, FILES.definition), 'truncation', 'a direction, "Left" or "Right",', truncation);
}

function isSide(value: unknown): boolean {
  return value === 'left' || value === 'right';
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}

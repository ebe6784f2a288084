import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { isObject } from '../../files/json.js';
import type { Component, TokenizerDefinition, TokenizerSettings } from '../definition.js';
import { addTokens } from './added-vocabulary.js';
import { Arguments, definedTokens, SPECIAL_TOKENS } from './arguments.js';
import { tokenizersBackend } from './backend.js';
import { robertaTokenizer } from './byte-pairs.js';
import { type ClassName, chooseClass } from './classes.js';
import { bertJapaneseTokenizer } from './japanese.js';
import { readSettings } from './settings.js';
import { FILES, hasFile, readFiles, type TokenizerFiles } from './source.js';
import type { Special } from './token.js';
import { SpecialTokens, type TokenizerClass } from './tokenizer-class.js';
import { camembertTokenizer, xlmRobertaTokenizer } from './unigram.js';
import { bertTokenizer, distilBertTokenizer, mpnetTokenizer } from './word-pieces.js';

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
 * @returns `definition`, what the tokenizer does, with all added tokens; `settings`, how it is used; `className`
 * @throws NOT_FOUND when the files of its class are not there, CHECKPOINT_INVALID when one is broken or the class is none
 *   that can be reproduced
 */
export async function readDefinition(
  directory: string,
): Promise<{ definition: TokenizerDefinition; settings: TokenizerSettings; className: ClassName }> {
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

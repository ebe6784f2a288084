import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import { isObject } from '../../files/json.js';
import type { Component } from '../definition.js';
import { FILES, type Json, type TokenizerFiles } from './source.js';
import type { Parts, TokenizerClass } from './tokenizer-class.js';
import { asVocabulary, kindOf, scoredPieces, vocabularyOf } from './vocabulary.js';

/** The longest word that may be taken apart: far above what any tokenizer says, and what a word may cost. */
const MAX_WORD = 10_000;

/** TokenizersBackend (PreTrainedTokenizerFast): what tokenizer.json says, and nothing else. */
export const tokenizersBackend: TokenizerClass = {
  modelInputNames: ['input_ids', 'attention_mask'],
  specialTokens: {},
  extra: [],
  async build({ directory, definition }: TokenizerFiles): Promise<Parts> {
    if (definition !== undefined) return checked(directory, definition);
    throw new BertuneError(
      'NOT_FOUND',
      `Expected ${FILES.definition} in ${directory}: its tokenizer class reads no other file (tokenizer_class in ${FILES.config})`,
    );
  },
};

function checked(directory: string, definition: Json): Parts {
  const path = join(directory, FILES.definition);
  const { model } = definition;
  if (!isObject(model)) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected a model with a vocabulary in ${path} but found none`);
  }
  const component = (key: string): Component | null => {
    const value = definition[key] ?? null;
    if (value !== null && !isObject(value)) throw invalidValue(path, key, 'an object or null', value);
    return value;
  };
  return {
    model: checkModel(directory, model),
    normalizer: component('normalizer'),
    pre_tokenizer: component('pre_tokenizer'),
    decoder: component('decoder'),
  };
}

function checkModel(directory: string, model: Json): Parts['model'] {
  const type = model.type ?? kindOf(model);
  if (type === 'Unigram') return { ...model, type, vocab: asVocabulary(scoredPieces(directory, model)) };
  const path = join(directory, FILES.definition);
  if (type === 'WordPiece') checkWordPiece(path, model);
  return { ...model, ...(typeof type === 'string' && { type }), vocab: vocabularyOf(directory, model) };
}

function checkWordPiece(path: string, model: Json): void {
  for (const key of ['unk_token', 'continuing_subword_prefix']) {
    const value = model[key];
    if (value !== undefined && typeof value !== 'string') throw invalidValue(path, key, 'a string', value);
  }
  const most = model.max_input_chars_per_word ?? 1;
  if (Number.isInteger(most) && (most as number) >= 1 && (most as number) <= MAX_WORD) return;
  throw invalidValue(path, 'max_input_chars_per_word', `an integer from 1 to ${MAX_WORD}`, most);
}

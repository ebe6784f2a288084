import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import type { Component } from '../definition.js';
import type { Arguments } from './arguments.js';
import { FILES, type TokenizerFiles } from './source.js';
import { contentOf } from './token.js';
import type { Parts, SpecialTokens, TokenizerClass } from './tokenizer-class.js';
import { readPieces } from './vocabulary.js';
import { bertTokenizer, unknownToken, wordPieceModel } from './word-pieces.js';

/** Stands between words until they are normalised, as characters of two words never combine. No text has it by then. */
const BOUNDARY = '\0';

/** Python's control characters, which are removed, but for tabs and ends of lines. */
const CONTROLS = '[\\x{FFFD}]|[^\\P{C}\\t\\n\\r]';

const PUNCTUATION = '[!-/:-@\\[-`{-~\\p{P}]';

/**
 * BertJapaneseTokenizer where its words are those between spaces and punctuation. Those of a dictionary (MeCab, Sudachi,
 * Juman++), which most Japanese models have, are refused.
 */
export const bertJapaneseTokenizer: TokenizerClass = {
  ...bertTokenizer,
  modelInputNames: ['input_ids', 'attention_mask'],
  build,
};

async function build(files: TokenizerFiles, given: Arguments, special: SpecialTokens): Promise<Parts> {
  const { directory } = files;
  const only = <T>(key: string, fallback: T, supported: readonly T[]): T => {
    const expected = `${supported.map((value) => JSON.stringify(value)).join(' or ')} (no other is known here)`;
    return given.read(key, fallback, expected, (value) => supported.includes(value as T));
  };
  only('word_tokenizer_type', 'basic', ['basic']);
  const kind = only('subword_tokenizer_type', 'wordpiece', ['wordpiece', 'character']);
  only('do_lower_case', false, [false]);
  only('do_word_tokenize', true, [true]);
  only('do_subword_tokenize', true, [true]);
  only('never_split', null, [null]);
  expectPlain(join(directory, FILES.config), given, special);
  const vocab = await readPieces(directory);
  if (vocab === undefined) throw new BertuneError('NOT_FOUND', `Expected ${FILES.vocabulary} in ${directory}`);
  const unknown = unknownToken(vocab, directory, special);
  const word: Parts = {
    normalizer: sequence('normalizers', [replace(CONTROLS, ''), { type: 'NFC' }]),
    pre_tokenizer: sequence('pretokenizers', [{ type: 'WhitespaceSplit' }, split(PUNCTUATION, 'Isolated')]),
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: wordPieceModel(vocab, unknown),
  };
  return kind === 'wordpiece' ? word : { ...word, ...characters(word, unknown) };
}

/** Python's tokenizer passes over flags of added tokens, and looks for ordinary ones in its own way. */
function expectPlain(path: string, given: Arguments, special: SpecialTokens): void {
  const names = new Set(special.all.map(contentOf));
  const other = given.declared.find(
    ({ token: { content, flags } }) => flags.single_word || !(names.has(content) || given.names(content)),
  );
  const expected = 'special tokens alone, without single_word (of a BertJapaneseTokenizer)';
  if (other !== undefined) throw invalidValue(other.path, 'added tokens', expected, other.token.content);
  const flagged = [...special.all, ...(given.extra ?? [])].find(
    (token) => typeof token !== 'string' && token.flags.single_word,
  );
  if (flagged !== undefined) throw invalidValue(path, 'special tokens', expected, contentOf(flagged));
}

/** A token a character, of words in compatibility form. */
function characters({ normalizer, model }: Parts, unknown: string): Partial<Parts> {
  const marked = [normalizer!, replace('\\s+', BOUNDARY), { type: 'NFKC' }];
  return {
    normalizer: sequence('normalizers', marked),
    pre_tokenizer: sequence('pretokenizers', [split(BOUNDARY, 'Removed'), { type: 'FixedLength', length: 1 }]),
    model: { type: 'WordLevel', unk_token: unknown, vocab: model.vocab },
  };
}

function sequence(key: 'normalizers' | 'pretokenizers', parts: readonly Component[]): Component {
  return { type: 'Sequence', [key]: parts };
}

function replace(Regex: string, content: string): Component {
  return { type: 'Replace', pattern: { Regex }, content };
}

function split(Regex: string, behavior: string): Component {
  const pattern = Regex === BOUNDARY ? { String: Regex } : { Regex };
  return { type: 'Split', pattern, behavior, invert: false };
}

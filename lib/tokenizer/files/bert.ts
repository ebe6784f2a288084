import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import type { Component } from '../definition.js';
import type { Arguments } from './arguments.js';
import { robertaProcessing } from './roberta.js';
import { FILES, hasFile, type TokenizerFiles } from './source.js';
import { contentOf, Token } from './token.js';
import { type Parts, type SpecialTokens, type TokenizerClass, template } from './tokenizer-class.js';
import { modelOf, readPieces, type Vocabulary, vocabularyOf } from './vocabulary.js';

/** Files of other tokenizers, which transformers reads in place of vocab.txt. */
const PREFERRED = ['tokenizer.model', 'tekken.json', 'tiktoken.model'];

/** BertTokenizer: word pieces under BERT's normalizer, [CLS] and [SEP] around texts, whatever tokenizer.json says. */
export const bertTokenizer: TokenizerClass = {
  modelInputNames: ['input_ids', 'token_type_ids', 'attention_mask'],
  specialTokens: {
    unk_token: '[UNK]',
    sep_token: '[SEP]',
    pad_token: '[PAD]',
    cls_token: '[CLS]',
    mask_token: '[MASK]',
  },
  extra: [],
  build: (files, given, special) => build('BertTokenizer', files, given, special),
  postProcessor(special, idOf) {
    const [cls, sep] = [special.inTemplate('cls_token'), special.inTemplate('sep_token')];
    const single = [
      [cls, 0],
      ['$A', 0],
      [sep, 0],
    ] as const;
    return template(single, [...single, ['$B', 1], [sep, 1]], idOf);
  },
};

/** The same for models that are not told the segments. */
export const distilBertTokenizer: TokenizerClass = {
  ...bertTokenizer,
  modelInputNames: ['input_ids', 'attention_mask'],
};

/** MPNetTokenizer: the same word pieces, with RoBERTa's special tokens around texts. */
export const mpnetTokenizer: TokenizerClass = {
  modelInputNames: ['input_ids', 'attention_mask'],
  specialTokens: {
    bos_token: new Token('<s>'),
    eos_token: new Token('</s>'),
    unk_token: new Token('[UNK]'),
    sep_token: new Token('</s>'),
    pad_token: new Token('<pad>'),
    cls_token: new Token('<s>'),
    mask_token: new Token('<mask>', { lstrip: true }),
  },
  extra: [],
  build: (files, given, special) => build('MPNetTokenizer', files, given, special),
  postProcessor: robertaProcessing,
};

async function build(
  className: string,
  files: TokenizerFiles,
  given: Arguments,
  special: SpecialTokens,
): Promise<Parts> {
  const vocab = await vocabulary(className, files);
  return {
    model: wordPieceModel(vocab, unknownToken(vocab, files.directory, special)),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: given.flag('tokenize_chinese_chars', true),
      strip_accents: given.read<boolean | null>('strip_accents', null, 'true, false or null', isFlagOrNull),
      lowercase: given.flag('do_lower_case', true),
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  };
}

/** The token for what is unknown, which has to be in the vocabulary. */
function unknownToken(vocab: Vocabulary, directory: string, special: SpecialTokens): string {
  const unknown = special.required('unk_token');
  if (Object.hasOwn(vocab, unknown)) return unknown;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected the unknown token ${JSON.stringify(unknown)} in the vocabulary of the tokenizer in ${directory}`,
  );
}

function wordPieceModel(vocab: Vocabulary, unknown: string): Parts['model'] {
  return {
    type: 'WordPiece',
    unk_token: unknown,
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab,
  };
}

async function vocabulary(className: string, files: TokenizerFiles): Promise<Vocabulary> {
  const model = modelOf(files, 'WordPiece', className);
  if (model !== undefined) return vocabularyOf(files.directory, model);
  for (const name of PREFERRED) {
    if (!(await hasFile(files.directory, name))) continue;
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Cannot use ${name} in ${files.directory}, which transformers takes for the ${className}: save the tokenizer with ` +
        'tokenizer.save_pretrained, which writes a tokenizer.json',
    );
  }
  const pieces = await readPieces(files.directory);
  if (pieces !== undefined) return pieces;
  const [json, text] = [FILES.definition, FILES.vocabulary];
  throw new BertuneError('NOT_FOUND', `Expected ${json} or ${text} in ${files.directory} but found neither`);
}

function isFlagOrNull(value: unknown): boolean {
  return value === null || typeof value === 'boolean';
}

/** Stands between words until they are normalized, as characters of two words never combine. No text has it by then. */
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
  build: buildJapanese,
};

async function buildJapanese(files: TokenizerFiles, given: Arguments, special: SpecialTokens): Promise<Parts> {
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

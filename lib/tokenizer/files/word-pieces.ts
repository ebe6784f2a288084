import { BertuneError } from '../../errors.js';
import type { Arguments } from './arguments.js';
import { FILES, hasFile, type TokenizerFiles } from './source.js';
import { Token } from './token.js';
import { type Parts, type SpecialTokens, type TokenizerClass, template } from './tokenizer-class.js';
import { modelOf, readPieces, type Vocabulary, vocabularyOf } from './vocabulary.js';

/** Files of other tokenizers, which transformers reads in place of vocab.txt. */
const PREFERRED = ['tokenizer.model', 'tekken.json', 'tiktoken.model'];

/** BertTokenizer: word pieces under BERT's normaliser, [CLS] and [SEP] around texts, whatever tokenizer.json says. */
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

/** RoBERTa's <s> … </s>, of pairs <s> … </s> </s> … </s>, without segments. */
export function robertaProcessing(special: SpecialTokens, idOf: (content: string) => number) {
  const [cls, sep] = [special.required('cls_token'), special.required('sep_token')];
  const single = [
    [cls, 0],
    ['$A', 0],
    [sep, 0],
  ] as const;
  return template(single, [...single, [sep, 0], ['$B', 0], [sep, 0]], idOf);
}

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
export function unknownToken(vocab: Vocabulary, directory: string, special: SpecialTokens): string {
  const unknown = special.required('unk_token');
  if (Object.hasOwn(vocab, unknown)) return unknown;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected the unknown token ${JSON.stringify(unknown)} in the vocabulary of the tokenizer in ${directory}`,
  );
}

export function wordPieceModel(vocab: Vocabulary, unknown: string): Parts['model'] {
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

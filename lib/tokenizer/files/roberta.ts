import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import { isObject } from '../../files/json.js';
import type { Component } from '../definition.js';
import type { Arguments } from './arguments.js';
import { FILES, type Json, type TokenizerFiles } from './source.js';
import { Token } from './token.js';
import { type Parts, type SpecialTokens, type TokenizerClass, template } from './tokenizer-class.js';
import {
  asVocabulary,
  modelOf,
  readBytePairs,
  type ScoredPiece,
  scoredPieces,
  type Vocabulary,
  vocabularyOf,
} from './vocabulary.js';

/** The special tokens of RoBERTa, which XLM-RoBERTa has taken over. */
const ROBERTA_TOKENS: TokenizerClass['specialTokens'] = {
  bos_token: '<s>',
  eos_token: '</s>',
  unk_token: '<unk>',
  sep_token: '</s>',
  pad_token: '<pad>',
  cls_token: '<s>',
  mask_token: '<mask>',
};

/** RobertaTokenizer: byte pairs of the text's UTF-8 bytes, <s> and </s> around texts. */
export const robertaTokenizer: TokenizerClass = {
  modelInputNames: ['input_ids', 'attention_mask'],
  specialTokens: ROBERTA_TOKENS,
  extra: [],
  async build(files, given) {
    return {
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: '',
        end_of_word_suffix: '',
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        ...(await bytePairs(files)),
      },
      normalizer: null,
      pre_tokenizer: {
        type: 'ByteLevel',
        add_prefix_space: given.flag('add_prefix_space', false),
        trim_offsets: true,
        use_regex: true,
      },
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    };
  },
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

async function bytePairs(files: TokenizerFiles): Promise<{ vocab: Vocabulary; merges: string[][] }> {
  const { directory } = files;
  const model = modelOf(files, 'BPE', 'RobertaTokenizer');
  if (model !== undefined) return { vocab: vocabularyOf(directory, model), merges: mergesOf(directory, model) };
  const pairs = await readBytePairs(directory);
  if (pairs !== undefined) return pairs;
  throw new BertuneError(
    'NOT_FOUND',
    `Expected ${FILES.definition}, or ${FILES.bytePairs} and ${FILES.merges}, in ${directory} for its RobertaTokenizer`,
  );
}

/** The merges of tokenizer.json: pairs, or their pieces with a space between. */
function mergesOf(directory: string, { merges }: Json): string[][] {
  const isPair = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && pair.every((e) => typeof e === 'string');
  if (Array.isArray(merges)) {
    const pairs = merges.map((merge: unknown) => (typeof merge === 'string' ? merge.split(' ') : merge));
    if (pairs.every(isPair)) return pairs as string[][];
  }
  throw invalidValue(join(directory, FILES.definition), 'merges', 'an array of pairs of pieces', merges);
}

/** XLMRobertaTokenizer: SentencePiece's pieces, <s> and </s> around texts. */
export const xlmRobertaTokenizer: TokenizerClass = {
  modelInputNames: ['input_ids', 'attention_mask'],
  specialTokens: ROBERTA_TOKENS,
  extra: [],
  build: async (files, given) => buildUnigram('XLMRobertaTokenizer', files, given, () => 3),
  postProcessor(special, idOf) {
    const [bos, eos] = [special.inTemplate('bos_token'), special.inTemplate('eos_token')];
    const single = [
      [bos, 0],
      ['$A', 0],
      [eos, 0],
    ] as const;
    return template(single, [...single, [eos, 0], ['$B', 0], [eos, 0]], idOf);
  },
};

/** CamembertTokenizer: the same with pieces of fairseq that nothing uses. */
export const camembertTokenizer: TokenizerClass = {
  ...xlmRobertaTokenizer,
  specialTokens: {
    ...xlmRobertaTokenizer.specialTokens,
    mask_token: new Token('<mask>', { lstrip: true, special: true }),
  },
  extra: ['<s>NOTUSED', '</s>NOTUSED', '<unk>NOTUSED'],
  build: async (files, given, special) => {
    const unknown = special.required('unk_token');
    const indexOf = (pieces: readonly ScoredPiece[]) => pieces.findIndex(([piece]) => piece === unknown);
    return buildUnigram('CamembertTokenizer', files, given, (pieces) => Math.max(0, indexOf(pieces)));
  },
};

function buildUnigram(
  className: string,
  files: TokenizerFiles,
  given: Arguments,
  unknownOf: (pieces: readonly ScoredPiece[]) => number,
): Parts {
  const model = modelOf(files, 'Unigram', className);
  if (model === undefined) {
    throw new BertuneError(
      'NOT_FOUND',
      `Expected ${FILES.definition} in ${files.directory} for its ${className}: load the directory with transformers ` +
        'and save it with tokenizer.save_pretrained',
    );
  }
  const vocab = scoredPieces(files.directory, model);
  const unk_id = unknownOf(vocab);
  if (unk_id >= vocab.length) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected at least ${unk_id + 1} pieces in ${FILES.definition}`);
  }
  const metaspace = {
    type: 'Metaspace',
    replacement: '▁',
    prepend_scheme: given.flag('add_prefix_space', true) ? 'always' : 'never',
    split: true,
  };
  return {
    model: { type: 'Unigram', unk_id, vocab: asVocabulary(vocab), byte_fallback: false },
    normalizer: charactersMap(files.definition!),
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
    decoder: metaspace,
  };
}

/** The table of SentencePiece, the only part of tokenizer.json's normalizer that these classes take. */
function charactersMap({ normalizer }: Json): Component | null {
  const parts = isObject(normalizer) && normalizer.type === 'Sequence' ? normalizer.normalizers : [normalizer];
  const found = Array.isArray(parts) ? parts.find((part) => isObject(part) && part.type === 'Precompiled') : undefined;
  const map = isObject(found) ? found.precompiled_charsmap : undefined;
  return typeof map === 'string' ? { type: 'Precompiled', precompiled_charsmap: map } : null;
}

import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { invalidValue } from '../../files/errors.js';
import { FILES, type Json, type TokenizerFiles } from './source.js';
import { ROBERTA_TOKENS, type TokenizerClass } from './tokenizer-class.js';
import { modelOf, readBytePairs, type Vocabulary, vocabularyOf } from './vocabulary.js';
import { robertaProcessing } from './word-pieces.js';

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

import { BertuneError } from '../../errors.js';
import { isObject } from '../../files/json.js';
import type { Component } from '../definition.js';
import type { Arguments } from './arguments.js';
import { FILES, type Json, type TokenizerFiles } from './source.js';
import { Token } from './token.js';
import { type Parts, ROBERTA_TOKENS, type TokenizerClass, template } from './tokenizer-class.js';
import { asVocabulary, modelOf, type ScoredPiece, scoredPieces } from './vocabulary.js';

/** XLMRobertaTokenizer: SentencePiece's pieces, <s> and </s> around texts. */
export const xlmRobertaTokenizer: TokenizerClass = {
  modelInputNames: ['input_ids', 'attention_mask'],
  specialTokens: ROBERTA_TOKENS,
  extra: [],
  build: async (files, given) => build('XLMRobertaTokenizer', files, given, () => 3),
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
    return build('CamembertTokenizer', files, given, (pieces) => Math.max(0, indexOf(pieces)));
  },
};

function build(
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

/** The table of SentencePiece, the only part of tokenizer.json's normaliser that these classes take. */
function charactersMap({ normalizer }: Json): Component | null {
  const parts = isObject(normalizer) && normalizer.type === 'Sequence' ? normalizer.normalizers : [normalizer];
  const found = Array.isArray(parts) ? parts.find((part) => isObject(part) && part.type === 'Precompiled') : undefined;
  const map = isObject(found) ? found.precompiled_charsmap : undefined;
  return typeof map === 'string' ? { type: 'Precompiled', precompiled_charsmap: map } : null;
}

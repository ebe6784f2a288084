import type { Tokenizer as PackageTokenizer } from '@huggingface/tokenizers';
import { BertuneError } from '../errors.js';

/** What a tokenizer's post-processor puts around a text. */
export interface Template {
  /** Ids in front of the text. */
  before: number[];
  /** Ids behind the text. */
  after: number[];
  /** Segments of the tokens in front, of the text's own, and of those behind. */
  types: { before: number[]; text: number; after: number[] };
}

/** Stands for the text while the post-processor is asked what it does. No vocabulary has it. */
const PLACE = '\0text\0';

/**
 * Asks a tokenizer's post-processor what it puts around a single text.
 *
 * @throws CHECKPOINT_INVALID when it puts nothing in front (BERT reads the first token), or an unknown token
 */
export function readTemplate(directory: string, tokenizer: PackageTokenizer): Template {
  const processed = tokenizer.post_processor?.post_process([PLACE], null, true);
  const tokens: string[] = processed?.tokens ?? [PLACE];
  const types: number[] = processed?.token_type_ids ?? tokens.map(() => 0);
  const place = tokens.indexOf(PLACE);
  if (place < 1) {
    const found = tokens.map((token) => (token === PLACE ? 'text' : token)).join(' ');
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected a token in front of each text in ${directory} but found ${found}`,
    );
  }
  const idOf = (token: string): number => {
    const id = tokenizer.token_to_id(token);
    if (id !== undefined) return id;
    throw new BertuneError('CHECKPOINT_INVALID', `Expected ${token} in the vocabulary of ${directory}`);
  };
  return {
    before: tokens.slice(0, place).map(idOf),
    after: tokens.slice(place + 1).map(idOf),
    types: { before: types.slice(0, place), text: types[place] ?? 0, after: types.slice(place + 1) },
  };
}

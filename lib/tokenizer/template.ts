import { BertuneError } from '../errors.js';
import { specialToken, type TokenizerConfig } from './definition.js';

/** What a tokenizer's post-processor puts around a text. */
export interface Template {
  /** Ids in front of the text. None where tokenizer.json has no post-processor. */
  before: number[];
  /** Ids behind the text. */
  after: number[];
  /** What stands for a text that gives no tokens, so that no sequence is empty. None where there are ids around it. */
  empty: number[];
  /** Segments of the tokens in front, of the text's own, and of those behind. */
  types: { before: number[]; text: number; after: number[] };
}

/**
 * The part of @huggingface/tokenizers' Tokenizer that is asked. Declared here, as that package's own declarations do not compile
 * under every setting of those who use ours.
 */
interface Asked {
  token_to_id(token: string): number | undefined;
  post_processor: {
    post_process(
      tokens: string[],
      pair: null,
      addSpecialTokens: boolean,
    ): { tokens: string[]; token_type_ids?: number[] };
  } | null;
}

/** Stands for the text while the post-processor is asked what it does. No vocabulary has it. */
const PLACE = '\0text\0';

/**
 * Asks a tokenizer's post-processor what it puts around a single text.
 *
 * A tokenizer.json without a post-processor adds nothing, as in Hugging Face's tokenizers library; only a text without
 * tokens then becomes [CLS] [SEP].
 *
 * @throws CHECKPOINT_INVALID when a token around the text, or [CLS] or [SEP] where nothing is, has no id
 */
export function readTemplate(directory: string, tokenizer: Asked, config: TokenizerConfig): Template {
  const idOf = (token: string): number => {
    const id = tokenizer.token_to_id(token);
    if (id !== undefined) return id;
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${token} in the vocabulary of the tokenizer in ${directory}`,
    );
  };
  const processed = tokenizer.post_processor?.post_process([PLACE], null, true);
  const tokens: string[] = processed?.tokens ?? [PLACE];
  const types: number[] = processed?.token_type_ids ?? tokens.map(() => 0);
  const place = tokens.indexOf(PLACE);
  if (place < 0) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected the post-processor in ${directory} to keep the text`);
  }
  const usual = [specialToken(config, 'cls_token', '[CLS]'), specialToken(config, 'sep_token', '[SEP]')];
  return {
    before: tokens.slice(0, place).map(idOf),
    after: tokens.slice(place + 1).map(idOf),
    empty: tokens.length > 1 ? [] : usual.map(idOf),
    types: { before: types.slice(0, place), text: types[place] ?? 0, after: types.slice(place + 1) },
  };
}

/**
 * What of a text's ids goes into the template.
 *
 * @param ids the text's own ids, at least the first `limit` of them
 * @param limit how many may stay
 */
export function textPart({ empty }: Template, ids: readonly number[], limit: number): readonly number[] {
  const part = ids.length === 0 ? empty : ids;
  return part.length > limit ? part.slice(0, limit) : part;
}

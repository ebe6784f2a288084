import { BertuneError } from '../errors.js';
import type { TokenizerSettings } from './definition.js';
import type { Part } from './packer.js';

/** What a tokenizer's post-processor puts around a text, or around and between the two of a pair. */
export interface Template {
  /** In front of the texts, between each and the next, and behind the last: one more than there are texts. */
  around: readonly Part[];
  /** Segment of each text's own tokens. */
  types: readonly number[];
  /** What stands for texts that give no tokens, so that no sequence is empty. None where there are ids around them. */
  empty: readonly number[];
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
      pair: string[] | null,
      addSpecialTokens: boolean,
    ): { tokens: string[]; token_type_ids?: number[] };
  } | null;
}

/** Stand for the texts while the post-processor is asked what it does. No vocabulary has them. */
const PLACES = ['\0text\0', '\0pair\0'];

/** Far above any number of segments. */
const MAX_TYPES = 1000;

/** Asks for the number of an id. */
type IdOf = (token: string) => number;

/**
 * Asks a tokenizer's post-processor what it puts around texts.
 *
 * A tokenizer.json without a post-processor adds nothing and gives a pair's second text the segment 1, as in Hugging
 * Face's tokenizers library; only texts without tokens then become [CLS] [SEP].
 *
 * @param texts 1, or 2 for pairs
 * @throws BertuneError CHECKPOINT_INVALID when a token around the texts, or [CLS] or [SEP] where nothing is, has no id
 */
export function readTemplate(directory: string, tokenizer: Asked, settings: TokenizerSettings, texts: 1 | 2): Template {
  const idOf: IdOf = (token) => {
    const id = tokenizer.token_to_id(token);
    if (Number.isInteger(id)) return id!;
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${token} in the vocabulary of the tokenizer in ${directory}`,
    );
  };
  const places = PLACES.slice(0, texts);
  const processed = tokenizer.post_processor?.post_process([PLACES[0]!], texts === 2 ? [PLACES[1]!] : null, true);
  const tokens: string[] = processed?.tokens ?? places;
  const types: number[] = processed?.token_type_ids ?? tokens.map((_, i) => (processed === undefined ? i : 0));
  const areTypes =
    Array.isArray(types) && types.every((type) => Number.isInteger(type) && type >= 0 && type < MAX_TYPES);
  if (!areTypes || types.length !== tokens.length) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected the post-processor in ${directory} to number the segments`);
  }
  const at = places.map((place) => tokens.indexOf(place));
  if (at.some((index, i) => index < 0 || (i > 0 && index < at[i - 1]!))) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected the post-processor in ${directory} to keep the texts in order`,
    );
  }
  const usual = [settings.clsToken ?? '[CLS]', settings.sepToken ?? '[SEP]'];
  const starts = [0, ...at.map((index) => index + 1)];
  return {
    around: starts.map((start, i) => ({
      ids: tokens.slice(start, at[i] ?? tokens.length).map(idOf),
      types: types.slice(start, at[i] ?? tokens.length),
    })),
    types: at.map((index) => types[index] ?? 0),
    empty: tokens.length > texts ? [] : usual.map(idOf),
  };
}

/** How many tokens a template adds. */
export function addedTokens({ around }: Template): number {
  return around.reduce((sum, { ids }) => sum + ids.length, 0);
}

/**
 * Puts the ids of texts into their template.
 *
 * @param ids of each text, not longer than they may be
 * @param limit how many tokens the texts may have altogether
 */
export function fillTemplate(
  { around, types, empty }: Template,
  ids: readonly (readonly number[])[],
  limit: number,
): Part[] {
  const isEmpty = ids.every(({ length }) => length === 0);
  const own: Part[] = isEmpty
    ? [{ ids: empty.slice(0, limit), types: 0 }, ...ids.slice(1).map(() => ({ ids: [], types: 0 }))]
    : ids.map((each, i) => ({ ids: each, types: types[i]! }));
  return around.flatMap((part, i) => (i < own.length ? [part, own[i]!] : [part]));
}

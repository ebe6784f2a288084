import { architectureOf, type ModelConfig } from '../architectures/index.js';
import { BertuneError } from '../errors.js';
import type { MethodPlan } from '../methods/index.js';
import { expectPositiveInteger, invalidOption } from '../options/validation.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import type { NamedAdapter } from './adapters.js';
import type { AnyClassifier } from './classifier.js';
import type { TextInputs } from './text-input.js';

/* Texts as token ids: how long they may be, and that the model has an embedding for each. */

/** What of a model decides how its texts become token ids. */
type Encoder = Pick<AnyClassifier, 'tokenizer' | 'config'>;

/** Longest text in tokens that a model takes under a plan, special ones included. */
export function longestText({ tokenizer, config }: Encoder, { prefix }: MethodPlan): number {
  return Math.min(config.maxTokens - (prefix?.virtualTokens ?? 0), tokenizer.modelMaxLength);
}

/**
 * Checks a wish for the longest text.
 *
 * @param wish null: what the model takes
 * @throws BertuneError INVALID_OPTION
 */
export function expectMaxLength(model: Encoder, wish: number | null, plan: MethodPlan): number {
  return expectLength(model, wish, longestText(model, plan));
}

/**
 * The longest text that each adapter takes, or `wish` where all of them take that.
 *
 * @param adapters of each text (N); null: the model itself
 * @throws BertuneError INVALID_OPTION
 */
export function textLimits(
  model: Encoder,
  adapters: readonly (NamedAdapter | null)[],
  wish: number | null,
  plan: MethodPlan,
): number[] {
  const longest = longestText(model, plan);
  return adapters.map((adapter) => {
    const most = Math.min(longest, model.config.maxTokens - (adapter?.virtualTokens ?? 0));
    return expectLength(model, wish, most);
  });
}

function expectLength({ tokenizer }: Encoder, wish: number | null, longest: number): number {
  if (wish === null) return longest;
  const least = Math.max(1, tokenizer.specialTokens);
  if (expectPositiveInteger('maxLength', wish) < least || wish > longest) {
    throw invalidOption('maxLength', `an integer from ${least} to ${longest}, which is what the model takes,`, wish);
  }
  return wish;
}

/**
 * Token ids of texts, or of pairs of texts.
 *
 * @param maxLength of all, or of each (N)
 * @throws BertuneError INVALID_OPTION where the model has too few token types for pairs; INVALID_DATA, ABORTED
 */
export async function encodeTexts(
  { tokenizer, config }: Encoder,
  { texts, pairs }: TextInputs,
  maxLength: number | readonly number[],
  signal?: AbortSignal,
): Promise<EncodedTexts> {
  const options = { ...(pairs && { pairs }), ...(signal && { signal }) };
  const encoded = await tokenizer.encodeTexts(texts, maxLength, options);
  const { typeVocabSize, vocabSize } = config;
  const stray = encoded.ids.find((id) => id >= vocabSize);
  if (stray !== undefined) {
    throw new BertuneError(
      'INVALID_DATA',
      `Expected token ids below ${vocabSize}, as the model has so many word embeddings, but a text has ${stray}: it ` +
        'holds a special token, such as [MASK], that is not in the vocabulary',
    );
  }
  if (typeVocabSize > 0 && encoded.typeIds?.some((type) => type >= typeVocabSize)) {
    const what = pairs === undefined ? 'these texts' : 'pairs of texts';
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected single texts, as the model has ${typeVocabSize} token type${typeVocabSize === 1 ? '' : 's'}, but received ${what}`,
    );
  }
  return withPositions(typeVocabSize > 0 ? encoded : { ...encoded, typeIds: undefined }, config);
}

/**
 * Where positions follow the padding token, they count the other tokens alone, and padding takes its own: transformers'
 * `create_position_ids_from_input_ids`. That differs from the places only where a text itself holds a padding token.
 */
function withPositions(encoded: EncodedTexts, { padTokenId, modelType }: ModelConfig): EncodedTexts {
  const { ids, offsets } = encoded;
  if (!architectureOf({ modelType }).positionsFollowPadding || !ids.includes(padTokenId!)) return encoded;
  const positions = new Int32Array(ids.length);
  for (let text = 0; text + 1 < offsets.length; text++) {
    let next = 0;
    for (let token = offsets[text]!; token < offsets[text + 1]!; token++) {
      positions[token] = ids[token] === padTokenId ? -1 : next++;
    }
  }
  return { ...encoded, positions };
}

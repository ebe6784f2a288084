import { architectureOf, type ModelConfig } from '../architectures/index.js';
import { BertuneError } from '../errors.js';
import type { MethodPlan } from '../methods/index.js';
import { chosenWay, type LongTexts, type LongTextWishes, type WindowPooling } from '../options/long-texts.js';
import { option } from '../options/names.js';
import {
  copyArray,
  expectOneOf,
  expectPositiveInteger,
  invalidOption,
  isArray,
  isString,
  shorten,
} from '../options/validation.js';
import type { EncodedTexts, TextLimit } from '../tokenizer/index.js';
import type { NamedAdapter } from './adapters.js';
import type { ModelParts } from './load.js';

/*
 * Texts: as a caller gives them, of the kind that a model takes, and as token ids, of which the model has an embedding for
 * each.
 */

/** A text, or a pair of texts, e.g. a premise and a hypothesis. */
export type TextInput = string | readonly [text: string, pair: string];

/** Texts, and the second one of each where they are pairs. */
export interface TextInputs {
  /** (N) */
  texts: readonly string[];
  /** (N) */
  pairs?: readonly string[] | undefined;
}

/**
 * A copy of the texts, so that the caller's may change while they are read.
 *
 * @throws INVALID_OPTION unless `inputs` is a text, an array of texts, or an array of pairs
 */
export function expectTexts(inputs: unknown): TextInputs {
  if (typeof inputs === 'string') return { texts: [inputs] };
  if (!isArray(inputs)) throw invalidOption('texts', 'a string or an array of strings or of pairs', inputs);
  if (!isArray(inputs[0])) {
    const { items, odd } = copyArray(inputs, isString);
    if (odd >= 0) throw invalidOption(`texts[${odd}]`, 'a string', inputs[odd]);
    return { texts: items };
  }
  const pairs: string[] = [];
  const texts: string[] = [];
  const { odd } = copyArray(inputs, (input): input is unknown => {
    const { items } = isArray(input) && input.length === 2 ? copyArray(input, isString) : { items: [] };
    if (items.length !== 2) return false;
    texts.push(items[0]!);
    pairs.push(items[1]!);
    return true;
  });
  if (odd >= 0) throw invalidOption(`texts[${odd}]`, 'a pair of strings', inputs[odd]);
  return { texts, pairs };
}

/**
 * @param name what it is called in messages
 * @returns the text, and the second one of a pair
 * @throws BertuneError INVALID_OPTION unless it is a text or a pair
 */
export function expectTextInput(name: string, input: unknown): readonly [text: string, pair?: string] {
  if (typeof input === 'string') return [input];
  const { items } = isArray(input) && input.length === 2 ? copyArray(input, isString) : { items: [] };
  if (items.length !== 2) throw invalidOption(name, 'a string or a pair of strings', input);
  return [items[0]!, items[1]!];
}

/** Which texts a model accepts: single texts or pairs, as it was trained on, or any. */
export type TextKind = 'trained' | 'any';

/** @throws BertuneError INVALID_OPTION */
export function expectTextKind(kind: unknown = 'trained'): TextKind {
  return expectOneOf('textKind', kind, ['trained', 'any']);
}

/**
 * Checks that texts are single ones, or pairs, as those that the model, or the adapter of each, was trained on: it gives
 * scores for the others too, and they mean nothing.
 *
 * @param adapters of each text (N), null: the model itself. Defaults to the model itself.
 * @throws BertuneError INVALID_DATA
 */
export function expectTrainedKind(
  model: Pick<ModelParts, 'pairs'>,
  { texts, pairs }: TextInputs,
  adapters: readonly (NamedAdapter | null)[] = [null],
): void {
  if (texts.length === 0) return;
  for (const adapter of new Set(adapters)) {
    expectKind((adapter ?? model).pairs, pairs !== undefined, adapter?.name ?? null);
  }
}

/** @param trained whether it was trained on pairs; null: not known, and all will do */
function expectKind(trained: boolean | null, pairs: boolean, adapter: string | null): void {
  if (trained === null || trained === pairs) return;
  const who = adapter === null ? 'The model' : `The adapter ${JSON.stringify(shorten(adapter))}`;
  throw new BertuneError(
    'INVALID_DATA',
    trained
      ? `${who} was trained on pairs of texts but received single texts; give it the second texts too`
      : `${who} was trained on single texts but received pairs; give it one text at a time`,
  );
}

/** What of a model decides how its texts become token ids. */
type Encoder = Pick<ModelParts, 'tokenizer' | 'config'>;

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

/** How long a text may be, what becomes of a longer one, and what the logits of its windows come to. */
export interface TextWay {
  limit: TextLimit;
  pooling: WindowPooling;
}

/**
 * What becomes of texts: as is wished, else as the model, or the adapter, was trained. Windows of training that share more than
 * fits these texts share less, and pairs, which have no windows, are cut.
 *
 * @param trained null: not known
 * @param of.adapter that the text is for; null: the model itself. Defaults to null.
 * @param of.isPair whether it is one of a pair. Defaults to false.
 * @throws BertuneError INVALID_OPTION
 */
export function textWay(
  model: Encoder,
  trained: LongTexts | null,
  wishes: LongTextWishes,
  plan: MethodPlan,
  { adapter = null, isPair = false }: { adapter?: NamedAdapter | null; isPair?: boolean } = {},
): TextWay {
  const longest = Math.min(longestText(model, plan), model.config.maxTokens - (adapter?.virtualTokens ?? 0));
  const { truncation, stride: chosen, pooling } = chosenWay(wishes, trained);
  const stride = wishes.stride === null && isPair ? null : chosen;
  if (wishes.windowPooling !== null && stride === null) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('windowPooling')} is of windows; give it with ${option('stride')}`,
    );
  }
  const usual = trained && Math.min(trained.length, longest);
  const maxLength = expectLength(model, wishes.maxLength ?? usual, longest);
  const most = Math.floor((maxLength - model.tokenizer.specialTokens) / 2);
  if (wishes.stride !== null) expectStride(wishes.stride, most, maxLength);
  return {
    limit: {
      maxLength,
      ...(truncation !== null && { truncation }),
      ...(stride !== null && { stride: Math.min(stride, most) }),
    },
    pooling,
  };
}

/** What a model is to keep of how it was trained; null: its texts were cut as the tokenizer does. */
export function longTextsOf({ limit, pooling }: TextWay): LongTexts | null {
  const { maxLength: length, truncation = null, stride = null } = limit;
  return truncation === null && stride === null ? null : { length, truncation, stride, pooling };
}

/** @throws BertuneError INVALID_OPTION */
function expectStride(stride: number, most: number, maxLength: number): void {
  if (stride <= most) return;
  throw invalidOption(
    'stride',
    `an integer from 0 to ${most}, half of the text in a window of ${maxLength} tokens,`,
    stride,
  );
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
 * @param limits of all, or of each (N)
 * @throws BertuneError INVALID_OPTION where the model has too few token types for pairs, and for windows of pairs;
 *   INVALID_DATA, ABORTED
 */
export async function encodeTexts(
  { tokenizer, config }: Encoder,
  { texts, pairs }: TextInputs,
  limits: number | TextLimit | readonly TextLimit[],
  signal?: AbortSignal,
): Promise<EncodedTexts> {
  const options = { ...(pairs && { pairs }), ...(signal && { signal }) };
  const encoded = await tokenizer.encodeTexts(texts, limits, options);
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

import { BertuneError } from '../errors.js';
import { shareOf, TRUNCATIONS } from '../options/long-texts.js';
import {
  copyArray,
  expectAbortSignal,
  expectObject,
  expectOneOf,
  expectPath,
  invalidOption,
  isArray,
  isString,
} from '../options/validation.js';
import { TimeSlice } from '../time-slice.js';
import { namingDirectory } from './component.js';
import type { TokenizerDefinition, TokenizerSettings } from './definition.js';
import { Encoder } from './encoder.js';
import { readDefinition } from './files/read-definition.js';
import { type EncodedTexts, Packer, type Part } from './packer.js';
import { addedTokens, fillTemplate, readTemplate, type Template, templateIdLimit } from './template.js';
import { pairLengths, Reading, type TextLimit, windowsOf } from './truncation.js';

export type { EncodedTexts } from './packer.js';
export type { TextLimit } from './truncation.js';

/** Whether a value is a Tokenizer, and not an object that only looks like one. Not public. */
export let isTokenizer: (value: unknown) => value is Tokenizer;

/**
 * Turns texts into token ids, exactly as Hugging Face's `tokenizers` library does with truncation, for every kind of
 * tokenizer.json.
 *
 * A tokenizer that it cannot reproduce exactly is refused when loaded, and the error names the part. Encoding takes time in
 * proportion to the length of the text, whatever the tokenizer.
 */
export class Tokenizer {
  /** Where the tokenizer was loaded from. */
  readonly directory: string;
  /**
   * The rows that word embeddings must have: the largest id plus one. Special tokens that only the tokenizer's class knows,
   * such as the [MASK] of a vocabulary without one, come after these and need no row.
   */
  readonly vocabSize: number;
  /** Id of the padding token; −1 if there is none. */
  readonly padTokenId: number;
  /** Longest text in tokens that it was made for, including special ones; Infinity if the files do not say. */
  readonly modelMaxLength: number;
  readonly #template: Template;
  /** Asked for when it is needed: few texts are pairs, and not every post-processor knows them. */
  readonly #readPairTemplate: () => Template;
  #pairs: Template | undefined;
  readonly #encoder: Encoder;
  /** Whether a text that is too long loses its start. */
  readonly #cutsStart: boolean;
  /** What stands for a text without tokens, where nothing is put around texts. */
  readonly #empty: readonly number[];

  static {
    isTokenizer = (value): value is Tokenizer => typeof value === 'object' && value !== null && #encoder in value;
  }

  private constructor(directory: string, definition: TokenizerDefinition, settings: TokenizerSettings) {
    const encoder = new Encoder(definition, settings.splitSpecialTokens);
    const idOf = (token: string | undefined) => (token === undefined ? undefined : encoder.idOf(token));
    const hasSegments = settings.modelInputNames.includes('token_type_ids');
    const template = (texts: 1 | 2) => readTemplate(definition.post_processor, texts, hasSegments);
    this.directory = directory;
    this.padTokenId = idOf(settings.padToken) ?? -1;
    this.modelMaxLength = settings.modelMaxLength;
    this.#template = template(1);
    this.#readPairTemplate = () => namingDirectory(directory, () => template(2));
    this.#encoder = encoder;
    this.vocabSize = Math.max(encoder.idLimit, templateIdLimit(this.#template));
    this.#cutsStart = settings.truncationSide === 'left';
    const ends = [idOf(settings.clsToken ?? '[CLS]'), idOf(settings.sepToken ?? '[SEP]')];
    this.#empty = ends.includes(undefined) ? [] : (ends as number[]);
  }

  /**
   * Reads a tokenizer: tokenizer.json and, if it exists, tokenizer_config.json; or the vocab.txt of an older BERT.
   *
   * @param directory a checkpoint's directory
   * @throws NOT_FOUND if there is no tokenizer, CHECKPOINT_INVALID if it is broken or not supported
   */
  static async load(directory: string): Promise<Tokenizer> {
    const { definition, settings } = await readDefinition(expectPath('directory', directory));
    return namingDirectory(directory, () => new Tokenizer(directory, definition, settings));
  }

  /** How many tokens are added to each text: 2 for BERT's [CLS] and [SEP], 0 without a post-processor. */
  get specialTokens(): number {
    return addedTokens(this.#template);
  }

  /** How many tokens are added to each pair of texts: 3 for BERT's [CLS] … [SEP] … [SEP]. */
  get specialPairTokens(): number {
    return addedTokens(this.#pairTemplate);
  }

  get #pairTemplate(): Template {
    this.#pairs ??= this.#readPairTemplate();
    return this.#pairs;
  }

  /**
   * The ids of one text, with what tokenizer.json's post-processor puts around it: [CLS] … [SEP], or nothing without one. A
   * text that is too long loses its end (or its start, if tokenizer_config.json says so), but keeps its [SEP]. A text without
   * tokens becomes [CLS] [SEP] in any case.
   *
   * @param text any string
   * @param maxLength most tokens, including special ones; at least as many as those
   * @throws INVALID_OPTION if `text` is not a string or `maxLength` is not such an integer; INVALID_DATA if it has no tokens
   *   and the tokenizer no [CLS] and [SEP]; CHECKPOINT_INVALID if the tokenizer cannot encode it
   */
  encode(text: string, maxLength: number): number[] {
    const limit = textLimit(this.#template, maxLength);
    const reading = new Reading(limit, this.#cutsStart);
    const steps = this.#encoder.encode(toWellFormed(expectText('text', text)));
    for (let next = this.#next(steps); !next.done && !reading.isEnough; next = this.#next(steps)) {
      reading.add(next.value);
    }
    return this.#fill(this.#template, [reading.kept(limit)], limit).flatMap((part) => part.ids);
  }

  /**
   * The ids of many texts or pairs of texts, packed. If a pair is too long, the longer text is truncated first, as with
   * `longest_first` in Hugging Face's tokenizers. The event loop runs about every ten milliseconds.
   *
   * @param texts any strings (N)
   * @param limits most tokens of a text or pair, including special ones, and what happens to longer ones; for all, or for each
   *   (N)
   * @param options `pairs`: the second text of each pair (N); `signal` stops the work with ABORTED
   * @throws INVALID_OPTION, INVALID_DATA and CHECKPOINT_INVALID as `encode`, INVALID_OPTION also if the lengths of the arrays
   *   differ, and for windows of pairs; INVALID_DATA for 2³¹ tokens or more; ABORTED
   */
  async encodeTexts(
    texts: readonly string[],
    limits: number | TextLimit | readonly (number | TextLimit)[],
    options: { pairs?: readonly string[]; signal?: AbortSignal } = {},
  ): Promise<EncodedTexts> {
    const given = expectObject('options', options, ['pairs', 'signal']);
    const signal = given.signal === undefined ? undefined : expectAbortSignal('signal', given.signal);
    const own = expectStrings('texts', texts);
    const pairs = given.pairs === undefined ? undefined : expectStrings('pairs', given.pairs, own.length);
    const template = pairs === undefined ? this.#template : this.#pairTemplate;
    const isPair = pairs !== undefined;
    const limitOf = expectLimits(limits, own.length, isPair);
    if (!isArray(limits)) textLimit(template, limitOf(0).maxLength);
    const slice = new TimeSlice(signal);
    const packer = new Packer(own.length);
    for (let i = 0; i < own.length; i++) {
      const given = limitOf(i);
      const limit = textLimit(template, given.maxLength);
      const share = shareOf(given.truncation);
      const first = await this.#read(own[i]!, given, isPair, slice);
      if (pairs !== undefined) {
        const second = await this.#read(pairs[i]!, given, true, slice);
        const [a, b] = pairLengths(first.reach, second.reach, limit);
        packer.add(this.#fill(template, [first.kept(a, share), second.kept(b, share)], limit));
        packer.endText(first.ids.length + second.ids.length > limit);
      } else if (given.stride === undefined) {
        packer.add(this.#fill(template, [first.kept(limit, share)], limit));
        packer.endText(first.ids.length > limit);
      } else {
        for (const [start, end] of windowsOf(first.ids.length, limit, given.stride, this.#cutsStart)) {
          packer.add(this.#fill(template, [first.ids.slice(start, end)], limit));
          if (slice.isOver) await slice.next();
        }
        packer.endText(false);
      }
      if (slice.isOver) await slice.next();
    }
    return packer.finish();
  }

  /** The ids of a text without special ones: all, or as many as it takes to know what of it stays. */
  async #read(text: string, limit: TextLimit, isOfPair: boolean, slice: TimeSlice): Promise<Reading> {
    const share = shareOf(limit.truncation) ?? (this.#cutsStart ? 0 : 1);
    const readsAll = limit.stride !== undefined || (share > 0 && share < 1);
    const reading = new Reading(readsAll ? Number.POSITIVE_INFINITY : limit.maxLength, share === 0 && !readsAll);
    const steps = this.#encoder.encode(toWellFormed(text), isOfPair);
    for (let next = this.#next(steps); !next.done; next = this.#next(steps)) {
      reading.add(next.value);
      if (isOfPair ? reading.isKnown : reading.isEnough) break;
      if (slice.isOver) await slice.next();
    }
    return reading;
  }

  /** Goes on with the encoding of a text. What is wrong with the tokenizer may only show then. */
  #next<T>(steps: Iterator<T>): IteratorResult<T> {
    return namingDirectory(this.directory, () => steps.next());
  }

  #fill(template: Template, ids: readonly (readonly number[])[], limit: number): Part[] {
    const parts = fillTemplate(template, ids);
    if (parts.some((part) => part.ids.length > 0)) return parts;
    if (this.#empty.length > 0) return [{ ids: this.#empty.slice(0, limit), types: 0 }];
    throw new BertuneError(
      'INVALID_DATA',
      `A text has no tokens, and the tokenizer of ${this.directory} has no [CLS] and [SEP] to stand for it; leave it out`,
    );
  }
}

/** How many tokens a template leaves to texts. */
function textLimit(template: Template, maxLength: number): number {
  const added = addedTokens(template);
  const least = Math.max(1, added);
  if (!Number.isSafeInteger(maxLength) || maxLength < least) {
    throw invalidOption('maxLength', `an integer of at least ${least}`, maxLength);
  }
  return maxLength - added;
}

function expectText(name: string, text: unknown): string {
  if (typeof text !== 'string') throw invalidOption(name, 'a string', text);
  return text;
}

/** A copy of an array of strings, of which there are `length` where that is given. */
function expectStrings(name: string, value: unknown, length?: number): string[] {
  if (!isArray(value)) throw invalidOption(name, 'an array of strings', value);
  const { items, odd } = copyArray(value, isString);
  if (odd >= 0) throw invalidOption(`${name}[${odd}]`, 'a string', value[odd]);
  if (length !== undefined && items.length !== length)
    throw invalidOption(name, `an array of ${length} strings`, value);
  return items;
}

/**
 * The limit of each text. Lengths and strides are checked one by one, as they are used.
 *
 * @param value of all texts, or of each (N)
 */
function expectLimits(value: unknown, length: number, isPair: boolean): (text: number) => TextLimit {
  if (!isArray(value)) {
    const limit = expectLimit(value, isPair);
    return () => limit;
  }
  const { items } = copyArray(value, (item): item is unknown => item !== undefined);
  if (items.length !== length) throw invalidOption('maxLength', `an array of ${length} integers or limits`, value);
  const limits = items.map((item) => expectLimit(item, isPair));
  return (text) => limits[text]!;
}

function expectLimit(value: unknown, isPair: boolean): TextLimit {
  if (typeof value !== 'object' || value === null) return { maxLength: value as number };
  const { maxLength, truncation, stride } = expectObject('maxLength', value as TextLimit, [
    'maxLength',
    'truncation',
    'stride',
  ]);
  if (truncation !== undefined) expectOneOf('truncation', truncation, TRUNCATIONS);
  if (stride !== undefined && isPair) throw invalidOption('stride', 'nothing for pairs, which are cut,', stride);
  return { maxLength, truncation, stride };
}

/** Halves of characters, which no text in another language has, become the replacement character. */
function toWellFormed(text: string): string {
  return SURROGATE.test(text) ? text.replace(/\p{Cs}/gu, '\ufffd') : text;
}

const SURROGATE = /[\ud800-\udfff]/;

import { Tokenizer as PackageTokenizer } from '@huggingface/tokenizers';
import { BertuneError } from './errors.js';
import { copyArray, expectAbortSignal, expectObject, expectPath, invalidOption, isArray, isString } from './options.js';
import { TimeSlice } from './time-slice.js';
import { readDefinition, type TokenizerDefinition, type TokenizerSettings } from './tokenizer/definition.js';
import { type EncodedTexts, Packer } from './tokenizer/packer.js';
import { pairLengths } from './tokenizer/pairs.js';
import { addedTokens, fillTemplate, readTemplate, type Template } from './tokenizer/template.js';
import { usable } from './tokenizer/usable.js';
import { WordPieces } from './tokenizer/word-pieces.js';

export type { EncodedTexts } from './tokenizer/packer.js';

/** Turns a text into ids without special tokens, some of them at a time. */
type TextEncoder = (text: string) => Iterable<readonly number[]>;

/** Whether a value is a Tokenizer, and not an object that only looks like one. Not public. */
export let isTokenizer: (value: unknown) => value is Tokenizer;

/**
 * Turns texts into token ids, as Hugging Face's `tokenizers` library does with truncation.
 *
 * A WordPiece model under BERT's normaliser and pre-tokenizer gives that library's ids exactly, and of a long text
 * reads no more than its first `maxLength` tokens take. Any other kind works if @huggingface/tokenizers knows it.
 */
export class Tokenizer {
  /** Where the tokenizer was loaded from. */
  readonly directory: string;
  /** One more than the largest id: the rows that a table of word embeddings must have. */
  readonly vocabSize: number;
  /** Id of the padding token; −1 where there is none. */
  readonly padTokenId: number;
  /** The longest text in tokens, special ones included, that it was made for; Infinity where that is not stated. */
  readonly modelMaxLength: number;
  readonly #template: Template;
  /** Asked for when it is needed: few texts are pairs, and not every post-processor knows them. */
  readonly #readPairTemplate: () => Template;
  #pairs: Template | undefined;
  readonly #encoder: TextEncoder;
  /** Ids of the pieces that go on with a word. */
  readonly #continuing: ReadonlySet<number>;

  static {
    isTokenizer = (value): value is Tokenizer => typeof value === 'object' && value !== null && #encoder in value;
  }

  private constructor(directory: string, definition: TokenizerDefinition, settings: TokenizerSettings) {
    const inner = new PackageTokenizer(definition, {});
    this.directory = directory;
    this.vocabSize = countIds(definition);
    this.padTokenId = settings.padToken === undefined ? -1 : (inner.token_to_id(settings.padToken) ?? -1);
    this.modelMaxLength = settings.modelMaxLength;
    this.#template = readTemplate(directory, inner, settings, 1);
    this.#readPairTemplate = () => usable(directory, () => readTemplate(directory, inner, settings, 2));
    this.#encoder = createEncoder(directory, definition, inner);
    this.#continuing = continuingIds(definition);
  }

  /**
   * Reads a tokenizer: tokenizer.json and, where it is there, tokenizer_config.json; or vocab.txt of an older BERT.
   *
   * @param directory a checkpoint's directory
   * @throws NOT_FOUND when there is no tokenizer, CHECKPOINT_INVALID when it is broken or of a kind not known
   */
  static async load(directory: string): Promise<Tokenizer> {
    const { definition, settings } = await readDefinition(expectPath('directory', directory));
    return usable(directory, () => new Tokenizer(directory, definition, settings));
  }

  /** How many tokens are added to each text: 2 for BERT's [CLS] and [SEP], 0 where there is no post-processor. */
  get specialTokens(): number {
    return addedTokens(this.#template);
  }

  /** How many are added to each pair of texts: 3 for BERT's [CLS] … [SEP] … [SEP]. */
  get specialPairTokens(): number {
    return addedTokens(this.#pairTemplate);
  }

  get #pairTemplate(): Template {
    this.#pairs ??= this.#readPairTemplate();
    return this.#pairs;
  }

  /**
   * The ids of one text, with what the post-processor of tokenizer.json puts around it: [CLS] … [SEP], or nothing where
   * it has none. A text that is too long loses its end, not its [SEP]. One without tokens is [CLS] [SEP] either way.
   *
   * @param text any string
   * @param maxLength the most tokens, special ones included; at least as many as those
   * @throws INVALID_OPTION when `text` is not a string or `maxLength` is not such an integer
   */
  encode(text: string, maxLength: number): number[] {
    const limit = textLimit(this.#template, maxLength);
    const ids: number[] = [];
    for (const some of this.#encoder(expectText('text', text))) {
      append(ids, some);
      if (ids.length >= limit) break;
    }
    return fillTemplate(this.#template, [ids.slice(0, limit)], limit).flatMap((part) => part.ids);
  }

  /**
   * The ids of many texts or pairs of texts, packed. Of a pair that is too long the longer text is cut first, as in
   * `longest_first` of Hugging Face's tokenizers. The event loop runs at least every ten milliseconds or so.
   *
   * @param texts any strings (N)
   * @param maxLength the most tokens of a text or pair, special ones included; or of each (N)
   * @param options `pairs`: the second text of each pair (N); `signal` stops the work with ABORTED
   * @throws INVALID_OPTION as `encode`, and where the lengths of the arrays differ; INVALID_DATA when there are 2³¹ tokens or more; ABORTED
   */
  async encodeTexts(
    texts: readonly string[],
    maxLength: number | readonly number[],
    options: { pairs?: readonly string[]; signal?: AbortSignal } = {},
  ): Promise<EncodedTexts> {
    const given = expectObject('options', options, ['pairs', 'signal']);
    const signal = given.signal === undefined ? undefined : expectAbortSignal('signal', given.signal);
    const own = expectStrings('texts', texts);
    const pairs = given.pairs === undefined ? undefined : expectStrings('pairs', given.pairs, own.length);
    const limits = isArray(maxLength) ? expectLimits(maxLength, own.length) : maxLength;
    const template = pairs === undefined ? this.#template : this.#pairTemplate;
    const mostOf = (i: number) => (isArray(limits) ? limits[i]! : limits);
    if (!isArray(limits)) textLimit(template, limits);
    const slice = new TimeSlice(signal);
    const packer = new Packer(own.length);
    for (let i = 0; i < own.length; i++) {
      const most = mostOf(i);
      const limit = textLimit(template, most);
      const first = await this.#idsOf(own[i]!, most, slice);
      if (pairs === undefined) {
        packer.add(fillTemplate(template, [first.slice(0, limit)], limit), first.length > limit);
      } else {
        const second = await this.#idsOf(pairs[i]!, most, slice);
        const [a, b] = pairLengths(this.#reach(first, most), this.#reach(second, most), limit);
        const parts = fillTemplate(template, [first.slice(0, a), second.slice(0, b)], limit);
        packer.add(parts, first.length + second.length > limit);
      }
      if (slice.isOver) await slice.next();
    }
    return packer.finish();
  }

  /** Where Hugging Face's tokenizers stop reading a text that is to be cut: after the word with the last token allowed. */
  #reach(ids: readonly number[], maxLength: number): number {
    let end = Math.min(ids.length, maxLength);
    while (end < ids.length && this.#continuing.has(ids[end]!)) end++;
    return end;
  }

  /** The ids of a text without special ones: all, or more than `maxLength` of them. */
  async #idsOf(text: string, maxLength: number, slice: TimeSlice): Promise<number[]> {
    const ids: number[] = [];
    for (const some of this.#encoder(text)) {
      append(ids, some);
      if (slice.isOver) await slice.next();
      if (ids.length > maxLength) break;
    }
    return ids;
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

function countIds({ model, added_tokens }: TokenizerDefinition): number {
  const ids = Array.isArray(model.vocab) ? [model.vocab.length - 1] : Object.values(model.vocab);
  return added_tokens.reduce(
    (count, { id }) => Math.max(count, id + 1),
    ids.reduce((a, id) => Math.max(a, id + 1), 0),
  );
}

function continuingIds({ model }: TokenizerDefinition): Set<number> {
  const prefix = model.continuing_subword_prefix;
  if (!prefix || Array.isArray(model.vocab)) return new Set();
  return new Set(Object.entries(model.vocab).flatMap(([piece, id]) => (piece.startsWith(prefix) ? [id] : [])));
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

/** A copy of the lengths of each text. Their values are checked one by one, as they are used. */
function expectLimits(value: readonly unknown[], length: number): number[] {
  const { items, odd } = copyArray(value, (item): item is number => typeof item === 'number');
  if (odd >= 0 || items.length !== length) throw invalidOption('maxLength', `an array of ${length} integers`, value);
  return items;
}

function append(ids: number[], more: readonly number[]): void {
  for (const id of more) ids.push(id);
}

/** The package's own tokenizer also knows the kinds that this library does not. */
function createEncoder(directory: string, definition: TokenizerDefinition, inner: PackageTokenizer): TextEncoder {
  if (WordPieces.supports(definition)) {
    const pieces = new WordPieces(definition);
    return (text) => pieces.encode(text);
  }
  const count = countIds(definition);
  return (text) => {
    const { ids } = usable(directory, () => inner.encode(text, { add_special_tokens: false }));
    if (ids.every((id: number) => Number.isInteger(id) && id >= 0 && id < count)) return [ids];
    throw new BertuneError('CHECKPOINT_INVALID', `Expected an id for every token of the tokenizer in ${directory}`);
  };
}

import { Tokenizer as PackageTokenizer } from '@huggingface/tokenizers';
import { BertuneError } from './errors.js';
import { expectString, invalidOption } from './options.js';
import { TimeSlice } from './time-slice.js';
import {
  readDefinition,
  specialToken,
  type TokenizerConfig,
  type TokenizerDefinition,
} from './tokenizer/definition.js';
import { type EncodedTexts, Packer } from './tokenizer/packer.js';
import { readTemplate, type Template, textPart } from './tokenizer/template.js';
import { WordPieces } from './tokenizer/word-pieces.js';

export type { EncodedTexts } from './tokenizer/packer.js';

/** Turns a text into ids without special tokens, some of them at a time. */
type TextEncoder = (text: string) => Iterable<readonly number[]>;

/** A length that transformers writes for "no limit" is beyond this. */
const NO_LIMIT = 1e9;

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
  readonly #encoder: TextEncoder;

  private constructor(directory: string, definition: TokenizerDefinition, config: TokenizerConfig) {
    const inner = createInner(directory, definition, config);
    const limit = Number(config.model_max_length);
    const pad = inner.token_to_id(specialToken(config, 'pad_token', '[PAD]'));
    this.directory = directory;
    this.vocabSize = countIds(definition);
    this.padTokenId = pad ?? -1;
    this.modelMaxLength = limit > 0 && limit < NO_LIMIT ? limit : Number.POSITIVE_INFINITY;
    this.#template = readTemplate(directory, inner, config);
    this.#encoder = createEncoder(definition, inner);
  }

  /**
   * Reads a tokenizer: tokenizer.json and, where it is there, tokenizer_config.json; or vocab.txt of an older BERT.
   *
   * @param directory a checkpoint's directory
   * @throws NOT_FOUND when there is no tokenizer, CHECKPOINT_INVALID when it is broken or of a kind not known
   */
  static async load(directory: string): Promise<Tokenizer> {
    const { definition, config } = await readDefinition(expectString('directory', directory));
    return new Tokenizer(directory, definition, config);
  }

  /** How many tokens are added to each text: 2 for BERT's [CLS] and [SEP], 0 where there is no post-processor. */
  get specialTokens(): number {
    return this.#template.before.length + this.#template.after.length;
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
    const limit = this.#textLimit(maxLength);
    const ids: number[] = [];
    for (const some of this.#encoder(expectText('text', text))) {
      append(ids, some);
      if (ids.length >= limit) break;
    }
    const { before, after } = this.#template;
    return [...before, ...textPart(this.#template, ids, limit), ...after];
  }

  /**
   * The ids of many texts, packed. The event loop runs at least every ten milliseconds or so.
   *
   * @param texts any strings (N)
   * @param maxLength the most tokens of a text, special ones included; or of each text (N)
   * @param options `signal` stops the work with ABORTED
   * @throws INVALID_OPTION as `encode`; INVALID_DATA when there are 2³¹ tokens or more; ABORTED
   */
  async encodeTexts(
    texts: readonly string[],
    maxLength: number | readonly number[],
    options: { signal?: AbortSignal } = {},
  ): Promise<EncodedTexts> {
    const limits =
      typeof maxLength === 'number' ? this.#textLimit(maxLength) : maxLength.map((n) => this.#textLimit(n));
    const slice = new TimeSlice(options.signal);
    const packer = new Packer(this.#template, texts.length);
    for (let i = 0; i < texts.length; i++) {
      const limit = typeof limits === 'number' ? limits : limits[i]!;
      const ids: number[] = [];
      for (const some of this.#encoder(expectText(`texts[${i}]`, texts[i]))) {
        append(ids, some);
        if (slice.isOver) await slice.next();
        if (ids.length > limit) break;
      }
      packer.add(ids, limit);
      if (slice.isOver) await slice.next();
    }
    return packer.finish();
  }

  /** How many tokens a text may have without the special ones. */
  #textLimit(maxLength: number): number {
    const least = Math.max(1, this.specialTokens);
    if (!Number.isSafeInteger(maxLength) || maxLength < least) {
      throw invalidOption('maxLength', `an integer of at least ${least}`, maxLength);
    }
    return maxLength - this.specialTokens;
  }
}

function countIds({ model, added_tokens }: TokenizerDefinition): number {
  const ids = Array.isArray(model.vocab) ? [model.vocab.length - 1] : Object.values(model.vocab);
  return added_tokens.reduce(
    (count, { id }) => Math.max(count, id + 1),
    ids.reduce((a, id) => Math.max(a, id + 1), 0),
  );
}

function expectText(name: string, text: unknown): string {
  if (typeof text !== 'string') throw invalidOption(name, 'a string', text);
  return text;
}

function append(ids: number[], more: readonly number[]): void {
  for (const id of more) ids.push(id);
}

/** The package's own tokenizer, which also knows the kinds that this library does not. */
function createInner(directory: string, definition: TokenizerDefinition, config: TokenizerConfig): PackageTokenizer {
  try {
    return new PackageTokenizer(definition, config);
  } catch (cause) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Cannot use the tokenizer of ${directory}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

function createEncoder(definition: TokenizerDefinition, inner: PackageTokenizer): TextEncoder {
  if (WordPieces.supports(definition)) {
    const pieces = new WordPieces(definition);
    return (text) => pieces.encode(text);
  }
  return (text) => [inner.encode(text, { add_special_tokens: false }).ids];
}

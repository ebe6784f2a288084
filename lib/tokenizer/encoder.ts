import { AddedTokens } from './added-tokens.js';
import { flatten } from './component.js';
import type { TokenizerDefinition } from './definition.js';
import type { Model, ModelSettings } from './models/model.js';
import { readModel } from './models.js';
import type { Normalizer } from './normalizers/normalizer.js';
import { readNormalizer } from './normalizers.js';
import type { Ids, Piece } from './piece.js';
import type { PreTokenizer } from './pre-tokenizers/pre-tokenizer.js';
import { readPreTokenizer } from './pre-tokenizers.js';
import { STEP } from './steps.js';
import { WordPieces } from './word-pieces.js';

/** How much longer than what was given a text may become, in characters: so much for each, and so much beside. */
const MOST_GROWTH = 64;
const LEAST_LIMIT = 65_536;

/**
 * text → added tokens → normalised text → added tokens → words → ids, as Hugging Face's tokenizers library (Rust) does.
 *
 * Everything is done piece by piece: of a long text no more is split and encoded than is asked for, and no step between
 * two pauses takes longer than about a millisecond, whatever the tokenizer and the text.
 */
export class Encoder {
  private readonly normalize: Normalizer;
  private readonly preTokenize: PreTokenizer;
  private readonly model: Model;
  private readonly added: AddedTokens;
  private readonly wordPieces: WordPieces | undefined;
  /** Whether anything asks what stands at the very start of a text. */
  private readonly asksForStart: boolean;

  /**
   * @param splitsSpecial whether special tokens in a text are taken apart like any other characters
   * @throws ComponentError for a part that is not known here, or cannot be used
   */
  constructor(definition: TokenizerDefinition, splitsSpecial: boolean) {
    this.normalize = readNormalizer(definition.normalizer);
    this.preTokenize = readPreTokenizer(definition.pre_tokenizer);
    this.model = readModel(definition.model as ModelSettings);
    this.added = new AddedTokens(definition.added_tokens, this.model, this.normalize, splitsSpecial);
    if (!this.added.areNormalized) this.wordPieces = WordPieces.of(definition, this.model);
    const parts = flatten('pre_tokenizer', definition.pre_tokenizer, 'pretokenizers');
    this.asksForStart = parts.some(({ prepend_scheme }) => prepend_scheme === 'first');
  }

  /** One more than the largest id. */
  get idLimit(): number {
    return Math.max(this.model.idLimit, this.added.idLimit);
  }

  idOf(token: string): number | undefined {
    return this.added.idOf(token) ?? this.model.idOf(token);
  }

  /**
   * The ids of a text without special tokens.
   *
   * @param byWord whether each word's are wanted apart; else several words' may come together
   */
  *encode(text: string, byWord = false): Generator<Ids> {
    const limit = LEAST_LIMIT + MOST_GROWTH * text.length;
    const leading = this.asksForStart && text !== '' ? (text.codePointAt(0)! > 0xffff ? 2 : 1) : 0;
    for (const part of this.added.split({ text, leading, limit })) {
      if (typeof part !== 'object') yield part;
      else if (this.wordPieces !== undefined) yield* this.wordPieces.encode(part.text, byWord);
      else yield* this.encodePiece(part);
    }
  }

  private *encodePiece(piece: Piece): Generator<Ids> {
    yield* this.normalize(piece);
    for (const part of this.added.splitNormalized(piece)) {
      if (typeof part !== 'object') yield part;
      else if (part.text !== '') yield* this.encodeWords(part);
    }
  }

  private *encodeWords(piece: Piece): Generator<Ids> {
    for (const word of this.preTokenize(piece)) {
      if (word === undefined) yield undefined;
      else if (word.text !== '') yield* inParts(yield* this.model.encode(word.text));
    }
  }
}

function* inParts(ids: readonly number[]): Generator<Ids> {
  let at = 0;
  for (; ids.length - at > STEP; at += STEP) yield { unfinished: ids.slice(at, at + STEP) };
  yield at === 0 ? ids : ids.slice(at);
}

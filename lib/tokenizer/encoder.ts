import { AddedTokens } from './added-tokens.js';
import { flatten, Settings } from './component.js';
import type { TokenizerDefinition } from './definition.js';
import type { Model, ModelSettings } from './models/model.js';
import { WordPiece } from './models/word-piece.js';
import { readModel } from './models.js';
import { bertConversion, readNormalizer } from './normalizers.js';
import type { Ids, Normalizer, Piece, PreTokenizer } from './piece.js';
import { readPreTokenizer } from './pre-tokenizers.js';
import { finish, STEP } from './steps.js';
import { cutBefore, WORDS } from './unicode.js';

/** How much longer than what was given a text may become, in characters: so much for each, and so much beside. */
const MOST_GROWTH = 64;
const LEAST_LIMIT = 65_536;

/**
 * text → added tokens → normalized text → added tokens → words → ids, as Hugging Face's tokenizers library (Rust) does.
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

/** Words that may be longer than this are left to the general way. */
const MOST_CHARACTERS = 200;

/**
 * The short cut for BERT: WordPiece under BERT's normalizer and pre-tokenizer. A text is normalized a window at a time,
 * so that of a long one no more is read than its first few hundred tokens take.
 */
class WordPieces {
  private readonly normalize: (text: string) => string;

  /** The short cut of a tokenizer, or undefined where it is of another kind. */
  static of({ normalizer, pre_tokenizer }: TokenizerDefinition, model: Model): WordPieces | undefined {
    const isBert = normalizer?.type === 'BertNormalizer' && pre_tokenizer?.type === 'BertPreTokenizer';
    if (!isBert || !(model instanceof WordPiece) || model.maxWord > MOST_CHARACTERS) return undefined;
    return new WordPieces(new Settings('normalizer', normalizer), model);
  }

  private constructor(
    settings: Settings,
    private readonly model: WordPiece,
  ) {
    this.normalize = bertConversion(settings);
  }

  /**
   * The ids of a text without added tokens.
   *
   * @param byWord whether each word's are wanted apart
   */
  *encode(text: string, byWord: boolean): Generator<Ids> {
    let carried = '';
    for (let at = 0; at < text.length; ) {
      const next = at + STEP >= text.length ? text.length : cutBefore(text, at, at + STEP);
      const normalized = carried + this.normalize(text.slice(at, next));
      const words = normalized.match(WORDS) ?? [];
      carried = '';
      const last = words.at(-1) ?? '';
      if (next < text.length && normalized.endsWith(last)) {
        // A word that reaches the end goes on in the next window, but for what makes it too long anyway.
        carried = last.slice(0, 2 * (this.model.maxWord + 1));
        words.pop();
      }
      if (byWord) for (const word of words) yield this.idsOf(word);
      else yield this.idsOfAll(words);
      at = next;
    }
    if (carried !== '') for (const word of carried.match(WORDS) ?? []) yield this.idsOf(word);
  }

  private idsOfAll(words: readonly string[]): number[] {
    const ids: number[] = [];
    for (const word of words) for (const id of this.idsOf(word)) ids.push(id);
    return ids;
  }

  private idsOf(word: string): readonly number[] {
    return this.model.known(word) ?? finish(this.model.encode(word));
  }
}

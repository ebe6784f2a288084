import { Settings } from './component.js';
import type { TokenizerDefinition } from './definition.js';
import type { Model } from './models/model.js';
import { WordPiece } from './models/word-piece.js';
import { bertConversion } from './normalizers/bert.js';
import type { Ids } from './piece.js';
import { finish, STEP } from './steps.js';
import { cutBefore, WORDS } from './unicode.js';

/** Words that may be longer than this are left to the general way. */
const MOST_CHARACTERS = 200;

/**
 * The short cut for BERT: WordPiece under BERT's normaliser and pre-tokenizer. A text is normalised a window at a time,
 * so that of a long one no more is read than its first few hundred tokens take.
 */
export class WordPieces {
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

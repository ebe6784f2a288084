import { ComponentError } from '../component.js';
import { STEP, type Steps } from '../steps.js';
import { Trie } from '../trie.js';
import { type Model, type ModelSettings, textSetting, Vocabulary, WordCache } from './model.js';

/** Greedy longest-match-first word pieces (Wu et al., 2016); one unknown token for a word that has none. */
export class WordPiece implements Model {
  /** Words of more characters are unknown. */
  readonly maxWord: number;
  readonly size: number;
  readonly idLimit: number;
  private readonly vocabulary: Vocabulary;
  private readonly unknownToken: string;
  private readonly initial: Trie;
  private readonly continuing: Trie;
  private readonly cache = new WordCache();

  constructor(model: ModelSettings) {
    this.vocabulary = new Vocabulary('WordPiece', model.vocab);
    this.unknownToken = textSetting('WordPiece', model, 'unk_token') ?? '[UNK]';
    this.maxWord = longestWord(model);
    const prefix = textSetting('WordPiece', model, 'continuing_subword_prefix') ?? '##';
    const { ids } = this.vocabulary;
    this.size = ids.size;
    this.idLimit = this.vocabulary.idLimit;
    this.initial = new Trie(ids);
    this.continuing =
      prefix === ''
        ? this.initial
        : new Trie(
            [...ids].flatMap(([token, id]) => (token.startsWith(prefix) ? [[token.slice(prefix.length), id]] : [])),
          );
  }

  idOf(token: string): number | undefined {
    return this.vocabulary.ids.get(token);
  }

  /** The ids of a word that was met before. */
  known(word: string): readonly number[] | undefined {
    return this.cache.get(word);
  }

  *encode(word: string): Steps<readonly number[]> {
    const known = this.known(word);
    if (known !== undefined) return known;
    const ids = this.isTooLong(word) ? undefined : yield* this.pieces(word);
    const found = ids ?? [this.vocabulary.unknown(this.unknownToken)];
    this.cache.set(word, found);
    return found;
  }

  /** At each place the longest piece that the vocabulary has; undefined where it has none. */
  private *pieces(word: string): Steps<number[] | undefined> {
    const ids: number[] = [];
    let trie = this.initial;
    let steps = 0;
    for (let start = 0; start < word.length; ) {
      let end = -1;
      let id = -1;
      let node = 0;
      for (let at = start; at < word.length; at++) {
        node = trie.step(node, word.charCodeAt(at));
        if (node < 0) break;
        const value = trie.value(node);
        if (value >= 0) {
          id = value;
          end = at + 1;
        }
        if (++steps % STEP === 0) yield;
      }
      if (id < 0) return undefined;
      ids.push(id);
      start = end;
      trie = this.continuing;
    }
    return ids;
  }

  private isTooLong(word: string): boolean {
    return word.length > this.maxWord && [...word.slice(0, 2 * (this.maxWord + 1))].length > this.maxWord;
  }
}

function longestWord(model: ModelSettings): number {
  const most = model.max_input_chars_per_word ?? 100;
  if (Number.isSafeInteger(most) && (most as number) >= 0) return most as number;
  throw new ComponentError('model WordPiece', 'max_input_chars_per_word must be an integer of at least 0');
}

import { BertuneError } from '../../errors.js';
import type { AddedToken } from '../definition.js';
import { quoted, type Token } from './token.js';

/**
 * The added tokens of a tokenizer, with ids as Hugging Face's tokenizers library gives them: a token of the vocabulary
 * keeps its id, another gets the next one after the vocabulary and the tokens added before it. A token that is added
 * again takes the new flags.
 */
export class AddedVocabulary {
  private readonly ids = new Map<string, number>();
  private readonly tokens = new Map<number, Token>();
  /** Contents that were special once: they stay so where special tokens are taken apart. */
  private readonly special = new Set<string>();
  private readonly implied = new Set<string>();
  private largest = -1;

  /**
   * @param vocabulary id of a piece of the model's vocabulary
   * @param size number of pieces in it
   * @param directory of the files, for messages
   */
  constructor(
    private readonly vocabulary: (content: string) => number | undefined,
    private readonly size: number,
    private readonly directory: string,
  ) {}

  /**
   * @param options.isImplied whether it comes from no file. Defaults to false.
   * @throws BertuneError CHECKPOINT_INVALID where two tokens come to one id
   */
  add(token: Token, options: { isImplied?: boolean } = {}): void {
    const { content, flags } = token;
    if (content === '') return;
    if (flags.special) this.special.add(content);
    if (options.isImplied && this.idOf(content) === undefined) this.implied.add(content);
    const id = this.idOf(content) ?? this.next();
    const other = this.tokens.get(id);
    if (other !== undefined && other.content !== content) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected an id of its own for the added token ${quoted(content)} in ${this.directory} but found ${id}, the id of ` +
          quoted(other.content),
      );
    }
    this.ids.set(content, id);
    this.tokens.set(id, token);
    this.largest = Math.max(this.largest, id);
  }

  /** The id of an added token or of a piece of the vocabulary. */
  idOf(content: string): number | undefined {
    return this.ids.get(content) ?? this.vocabulary(content);
  }

  /** All added tokens by id. */
  list(): AddedToken[] {
    return [...this.tokens]
      .sort(([a], [b]) => a - b)
      .map(([id, { content, flags }]) => ({
        id,
        content,
        ...flags,
        special: this.special.has(content),
        ...(this.implied.has(content) && { implied: true }),
      }));
  }

  private next(): number {
    return this.largest >= this.size || this.size === 0 ? this.largest + 1 : this.size;
  }
}

import { BertuneError } from '../../errors.js';
import type { AddedToken, TokenizerDefinition } from '../definition.js';
import type { DeclaredToken } from './arguments.js';
import { contentOf, quoted, type Special, Token } from './token.js';
import type { ScoredPiece } from './vocabulary.js';

/** The tokens that are added to a vocabulary. */
export interface TokensToAdd {
  /** Those of tokenizer.json, where the class takes it as it is. */
  own: readonly DeclaredToken[];
  /** Those that the files declare with ids, by id. */
  declared: readonly DeclaredToken[];
  /** The special tokens. */
  special: readonly Special[];
  /** Special tokens without a name. */
  further: readonly Special[];
  /** Whether a file names a token. */
  isInFiles(content: string): boolean;
}

/**
 * Adds tokens in the order of transformers.
 *
 * @param directory of the files, for messages
 * @throws BertuneError CHECKPOINT_INVALID where a token is declared with another id than it gets
 */
export function addTokens(
  directory: string,
  vocab: TokenizerDefinition['model']['vocab'],
  { own, declared, special, further, isInFiles }: TokensToAdd,
): AddedVocabulary {
  const ids = idsByPiece(vocab);
  const added = new AddedVocabulary((content) => ids.get(content), ids.size, directory);
  const names = new Set(special.map(contentOf));
  const asNamed = (token: Token) => (names.has(token.content) ? token.asSpecial() : token);
  for (const { token } of own) added.add(token);
  for (const { token } of declared) added.add(asNamed(token));
  for (const token of undeclared([...own, ...declared], [...special, ...further])) {
    added.add(asNamed(token), { isImplied: !isInFiles(token.content) });
  }
  for (const { id, token, path } of [...own, ...declared]) {
    if (token.content === '' || added.idOf(token.content) === id) continue;
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `${path} says that ${quoted(token.content)} has the id ${id}, but a tokenizer of this vocabulary gives it the id ` +
        `${added.idOf(token.content)}: save the tokenizer again with transformers, or correct the id`,
    );
  }
  return added;
}

function idsByPiece(vocab: Record<string, number> | readonly ScoredPiece[]): Map<string, number> {
  return new Map(Array.isArray(vocab) ? vocab.map(([piece], id) => [piece, id]) : Object.entries(vocab));
}

/** The tokens that no file declares, in their order. */
function undeclared(declared: readonly DeclaredToken[], all: readonly Special[]): Token[] {
  const known = new Set(declared.map(({ token }) => token.content));
  const tokens = new Map<string, Token>();
  for (const token of all) {
    if (known.has(contentOf(token))) continue;
    // A string and a token with flags are two, the second of which gives the flags.
    if (typeof token === 'string') tokens.set(`"${token}`, new Token(token, { special: true }));
    else tokens.set(token.identity, token);
  }
  return [...tokens.values()];
}

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

import { ComponentError } from './component.js';
import type { AddedToken } from './definition.js';
import type { Model } from './models/model.js';
import { type Normalizer, type Piece, slice } from './piece.js';
import { finish, STEP } from './steps.js';
import { Trie } from './trie.js';
import { isSpace, WORD_CLASS } from './unicode.js';

/** Far above any token's. What is looked for at each place of a text takes as long as this, at worst. */
const LONGEST = 1000;

/** How much longer a token's text may become when it is normalized. */
const MOST_GROWTH = 64;

const WORD = new RegExp(`^${WORD_CLASS}$`, 'v');

/** Tokens that are found in a text before it is taken to words: a part of a piece is one of them, or still a piece. */
export type Part = Piece | number | undefined;

/** The added tokens of a tokenizer, with the ids that the library gives them. */
export class AddedTokens {
  /** One more than the largest id, but for tokens that no file has. */
  readonly idLimit: number;
  private readonly ids: ReadonlyMap<string, number>;
  private readonly raw: Finder;
  private readonly normalized: Finder;

  /**
   * @param tokens as tokenizer.json lists them
   * @param splitsSpecial whether special tokens in a text are taken apart like any other characters
   * @throws ComponentError where one cannot be used
   */
  constructor(tokens: readonly AddedToken[], model: Model, normalize: Normalizer, splitsSpecial: boolean) {
    const { ids, byId } = number(tokens, model);
    this.ids = ids;
    const implied = new Set(tokens.flatMap((token) => (token.implied ? [token.content] : [])));
    this.idLimit = [...ids].reduce(
      (limit, [content, id]) => (implied.has(content) ? limit : Math.max(limit, id + 1)),
      0,
    );
    const isSpecial = new Set(tokens.flatMap(({ content, special }) => (special ? [content] : [])));
    const raw = new Map<string, FoundToken>();
    const normalized = new Map<string, FoundToken>();
    for (const [id, token] of byId) {
      const { content } = token;
      const found = { ...token, id, isIgnored: splitsSpecial && isSpecial.has(content) };
      const text = token.normalized ? normalizedContent(content, normalize) : content;
      if (text === '') {
        throw new ComponentError(
          `added token ${JSON.stringify(content)}`,
          'is empty once it is normalized; declare it with "normalized": false, or remove it',
        );
      }
      const known = (token.normalized ? normalized : raw).get(text);
      if (known !== undefined) {
        throw new ComponentError(
          `added token ${JSON.stringify(content)}`,
          `is the same as ${JSON.stringify(known.content)} once it is normalized; remove one of them`,
        );
      }
      (token.normalized ? normalized : raw).set(text, found);
    }
    this.raw = new Finder(raw);
    this.normalized = new Finder(normalized);
  }

  /** Whether some are looked for in normalized text. */
  get areNormalized(): boolean {
    return !this.normalized.isEmpty;
  }

  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }

  /** Finds tokens in a text as it was given. */
  split(piece: Piece): Iterable<Part> {
    return this.raw.split(piece);
  }

  /** Finds tokens in what is left of a text, once that is normalized. */
  splitNormalized(piece: Piece): Iterable<Part> {
    return this.normalized.split(piece);
  }
}

type FoundToken = AddedToken & {
  /** Whether it counts as ordinary text where it is found. */
  isIgnored: boolean;
};

/**
 * The ids that the library gives to added tokens, whatever the file says: that of the vocabulary where it has the token,
 * the next free one where not.
 */
function number(tokens: readonly AddedToken[], model: Model) {
  const ids = new Map<string, number>();
  const byId = new Map<number, AddedToken>();
  let next = model.size;
  for (const token of tokens) {
    const { content } = token;
    if (content === '') continue;
    if (content.length > LONGEST) {
      const name = `added token ${JSON.stringify(content.slice(0, 30))}…`;
      throw new ComponentError(name, `has ${content.length} characters; use at most ${LONGEST}`);
    }
    const id = ids.get(content) ?? model.idOf(content) ?? next++;
    ids.set(content, id);
    byId.set(id, token);
  }
  return { ids, byId };
}

function normalizedContent(content: string, normalize: Normalizer): string {
  const piece: Piece = { text: content, leading: 0, limit: MOST_GROWTH * LONGEST };
  finish(normalize(piece));
  if (piece.text.length <= LONGEST) return piece.text;
  throw new ComponentError(
    `added token ${JSON.stringify(content)}`,
    `is normalized to more than ${LONGEST} characters`,
  );
}

/** Finds the leftmost, and of those at one place the longest token; then the next behind it. */
class Finder {
  private readonly trie: Trie;
  private readonly tokens: readonly FoundToken[];
  /** Where a token may start. */
  private readonly starts: RegExp | undefined;

  constructor(tokens: ReadonlyMap<string, FoundToken>) {
    this.tokens = [...tokens.values()];
    this.trie = new Trie([...tokens.keys()].map((text, i) => [text, i]));
    const units = [...new Set([...tokens.keys()].map((text) => text.charCodeAt(0)))];
    const members = units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
    this.starts = units.length === 0 ? undefined : new RegExp(`[${members}]`, 'g');
  }

  get isEmpty(): boolean {
    return this.starts === undefined;
  }

  *split(piece: Piece): Generator<Part> {
    const { text } = piece;
    let from = 0;
    /** Where the last white space that was passed by ends. A token may be found in it, and passes by the rest. */
    const spaces = { end: 0 };
    for (const found of this.find(text)) {
      if (found === undefined) {
        yield undefined;
        continue;
      }
      const token = this.tokens[found.token]!;
      let { start, end } = found;
      if (token.isIgnored || (token.single_word && isInWord(text, start, end))) continue;
      if (token.lstrip) {
        while (start > from && isSpace(text.charCodeAt(start - 1))) start--;
        start = Math.max(start, from);
      }
      if (token.rstrip && end < spaces.end) end = spaces.end;
      else if (token.rstrip) {
        while (end < text.length && isSpace(text.charCodeAt(end))) end++;
        spaces.end = end;
      }
      if (from < start) yield slice(piece, from, start);
      // One that lies in the white space which the last has taken along has nothing left, where it takes some itself.
      if (start < end) yield token.id;
      from = end;
    }
    if (from === 0) yield piece;
    else if (from < text.length) yield slice(piece, from, text.length);
  }

  private *find(text: string): Generator<{ start: number; end: number; token: number } | undefined> {
    const { starts, trie } = this;
    if (starts === undefined) return;
    let steps = 0;
    for (let at = 0; ; ) {
      starts.lastIndex = at;
      const start = starts.exec(text)?.index;
      if (start === undefined) return;
      let end = start;
      let token = -1;
      for (let node = 0, next = start; next < text.length; next++) {
        node = trie.step(node, text.charCodeAt(next));
        if (node < 0) break;
        if (trie.value(node) >= 0) {
          token = trie.value(node);
          end = next + 1;
        }
        if (++steps % STEP === 0) yield undefined;
      }
      if (token >= 0) yield { start, end, token };
      at = token < 0 ? start + 1 : end;
    }
  }
}

/** Whether what is found is a part of a longer word. */
function isInWord(text: string, start: number, end: number): boolean {
  const before = text.slice(Math.max(0, start - 2), start);
  const left = [...before].at(-1);
  const right = end < text.length ? String.fromCodePoint(text.codePointAt(end)!) : undefined;
  return (left !== undefined && WORD.test(left)) || (right !== undefined && WORD.test(right));
}

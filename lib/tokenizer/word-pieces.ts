import type { AddedToken, Component, TokenizerDefinition } from './definition.js';
import { ACCENTS, CONTROLS, DECOMPOSED, IDEOGRAPHS, WORDS } from './unicode.js';

/*
 * text → normalised text → words → word pieces, as Hugging Face's tokenizers library (Rust) does for BERT.
 *
 * The npm package of that name does the same but for details, each of which changes ids: ideographs beyond U+FFFF, the
 * Greek final sigma, characters newer than the library's tables. It also works on a whole text at once, while a text
 * of megabytes must neither hold the event loop nor be read further than its first few hundred tokens.
 */

/** Characters of text that are worked on at once. */
const WINDOW = 4096;

/** How many marks in a row a window's end steps back over. */
const LONGEST_CLUSTER = 32;

/** ASCII without control characters: only its case can change. */
const PLAIN = /^[\t\n\r -~]*$/;

/** Greedy longest-match-first word pieces (Wu et al., 2016) under BERT's normaliser and pre-tokenizer. */
export class WordPieces {
  private readonly initial: ReadonlyMap<string, number>;
  private readonly continuing: ReadonlyMap<string, number>;
  private readonly unknown: number;
  private readonly maxWord: number;
  /** The longest piece, in UTF-16 units: no longer substring needs to be looked up. */
  private readonly longestInitial: number;
  private readonly longestContinuing: number;
  private readonly added: ReadonlyMap<string, number>;
  private readonly addedPattern: RegExp | undefined;
  private readonly normalize: (text: string) => string;

  /** Whether a tokenizer is of the kind that this class knows. The vocabulary must hold the unknown token. */
  static supports({ model, normalizer, pre_tokenizer, added_tokens }: TokenizerDefinition): boolean {
    return (
      model.type === 'WordPiece' &&
      Object.hasOwn(model.vocab, model.unk_token ?? '') &&
      normalizer?.type === 'BertNormalizer' &&
      pre_tokenizer?.type === 'BertPreTokenizer' &&
      added_tokens.every((token) => !token.normalized && !token.single_word && token.content !== '')
    );
  }

  constructor(definition: TokenizerDefinition) {
    const { model, added_tokens } = definition;
    const prefix = model.continuing_subword_prefix ?? '##';
    this.initial = new Map(Object.entries(model.vocab));
    const following = [...this.initial].filter(([piece]) => piece.startsWith(prefix));
    this.continuing = new Map(following.map(([piece, id]) => [piece.slice(prefix.length), id]));
    this.unknown = this.initial.get(model.unk_token ?? '')!;
    this.maxWord = model.max_input_chars_per_word ?? 100;
    this.longestInitial = longestOf(this.initial.keys());
    this.longestContinuing = longestOf(this.continuing.keys());
    this.added = new Map(added_tokens.map(({ content, id }) => [content, id]));
    this.addedPattern = addedPattern(added_tokens);
    this.normalize = createNormalizer(definition.normalizer ?? {});
  }

  /**
   * The ids of a text without special tokens, a window of it at a time, so that the caller can stop when it has enough
   * or let other work run.
   */
  *encode(text: string): Generator<readonly number[]> {
    let start = 0;
    while (start < text.length) {
      const token = this.nextAdded(text, start);
      const end = token?.at ?? text.length;
      if (end - start <= WINDOW) yield this.pieces(words(this.normalize(text.slice(start, end))));
      else yield* this.encodeLong(text, start, end);
      if (token === undefined) return;
      yield [token.id];
      start = end + token.length;
    }
  }

  /** As `encode`, for text[start..end). A word that reaches the end of a window is carried into the next one. */
  private *encodeLong(text: string, start: number, end: number): Generator<readonly number[]> {
    let carried = '';
    for (let at = start; at < end; ) {
      const next = windowEnd(text, at, end);
      const normalized = carried + this.normalize(text.slice(at, next));
      const found = words(normalized);
      const last = found.at(-1) ?? '';
      // More of a word than makes it unknown need not be kept; a character has at most two units.
      carried = normalized.endsWith(last) ? last.slice(0, 2 * (this.maxWord + 1)) : '';
      yield this.pieces(carried === '' ? found : found.slice(0, -1));
      at = next;
    }
    yield this.pieces(carried === '' ? [] : [carried]);
  }

  /** The first added token in the text from `start` on; of several at one place the longest. */
  private nextAdded(text: string, start: number): { at: number; length: number; id: number } | undefined {
    if (this.addedPattern === undefined) return undefined;
    this.addedPattern.lastIndex = start;
    const match = this.addedPattern.exec(text);
    return match === null ? undefined : { at: match.index, length: match[0].length, id: this.added.get(match[0])! };
  }

  private pieces(found: readonly string[]): number[] {
    const ids: number[] = [];
    for (const word of found) this.addPieces(word, ids);
    return ids;
  }

  /** Appends the pieces of a word: at each place the longest that the vocabulary has; one unknown where it has none. */
  private addPieces(word: string, ids: number[]): void {
    const before = ids.length;
    let table = this.initial;
    let longest = this.longestInitial;
    let start = this.isTooLong(word) ? -1 : 0;
    while (start >= 0 && start < word.length) {
      let end = Math.min(word.length, start + longest);
      let id: number | undefined;
      while (end > start) {
        id = table.get(word.slice(start, end));
        if (id !== undefined) break;
        end--;
      }
      if (id !== undefined) ids.push(id);
      start = id === undefined ? -1 : end;
      table = this.continuing;
      longest = this.longestContinuing;
    }
    if (start >= 0) return;
    ids.length = before;
    ids.push(this.unknown);
  }

  private isTooLong(word: string): boolean {
    return word.length > this.maxWord && [...word.slice(0, 2 * (this.maxWord + 1))].length > this.maxWord;
  }
}

/** BERT's normaliser, in the order of the library: clean, space ideographs, strip accents, lower-case. */
function createNormalizer(options: Component): (text: string) => string {
  const { clean_text: clean, handle_chinese_chars: spaced, lowercase } = options;
  const stripped = options.strip_accents ?? lowercase;
  return (text) => {
    let result = text;
    if (!PLAIN.test(text)) {
      if (clean) result = result.replace(CONTROLS, '');
      if (spaced) result = result.replace(IDEOGRAPHS, ' $& ');
      if (stripped) result = result.replace(DECOMPOSED, (run) => run.normalize('NFD')).replace(ACCENTS, '');
      // The library lower-cases character by character, so that a sigma at the end of a word is as any other.
      if (lowercase) result = result.replaceAll('Σ', 'σ');
    }
    return lowercase ? result.toLowerCase() : result;
  };
}

function words(normalized: string): string[] {
  return normalized.match(WORDS) ?? [];
}

/** Where a window from `at` ends: not inside a character, and not before a mark that belongs to the one in front. */
function windowEnd(text: string, at: number, end: number): number {
  const far = at + WINDOW;
  if (far >= end) return end;
  for (let cut = far; cut > far - LONGEST_CLUSTER; cut--) {
    if (!/^[\p{M}\p{Cs}]/u.test(String.fromCodePoint(text.codePointAt(cut)!))) return cut;
  }
  return far;
}

function addedPattern(tokens: readonly AddedToken[]): RegExp | undefined {
  if (tokens.length === 0) return undefined;
  const longestFirst = tokens.map(({ content }) => content).sort((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'g');
}

function longestOf(pieces: Iterable<string>): number {
  let length = 0;
  for (const piece of pieces) length = Math.max(length, piece.length);
  return length;
}

import { byteLevel } from '../bytes.js';
import { ComponentError, type Settings } from '../component.js';
import { nativeMatches, split } from '../pattern/splitter.js';
import { type Piece, prepend } from '../piece.js';
import { STEP } from '../steps.js';
import { cutBefore, UNTIL_16 } from '../unicode.js';
import { type PreTokenizer, slices } from './pre-tokenizer.js';

/**
 * GPT-2's words. Each alternative is a run of one class at most, and only the one for white space gives something back,
 * one character: it takes time in proportion to the text.
 */
const WORDS = words();

/** Splits into GPT-2's words, where that is wanted, and writes their bytes as characters. */
export function byteLevelWords(settings: Settings): PreTokenizer {
  const addsSpace = settings.boolean('add_prefix_space');
  const splits = settings.boolean('use_regex', true);
  return function* (piece) {
    if (addsSpace && !piece.text.startsWith(' ')) prepend(piece, ' ');
    if (!splits) {
      yield* written(piece);
      return;
    }
    for (const word of slices(piece, split(piece.text.length, nativeMatches(WORDS, piece.text), 'Isolated'))) {
      if (word === undefined) yield undefined;
      else yield* written(word);
    }
  };
}

function* written(piece: Piece): Generator<Piece | undefined> {
  const { text } = piece;
  if (piece.leading > 0) piece.leading = byteLevel(text.slice(0, piece.leading)).length;
  const parts: string[] = [];
  let length = 0;
  for (let at = 0; at < text.length; ) {
    const next = at + STEP >= text.length ? text.length : cutBefore(text, at, at + STEP);
    const part = byteLevel(text.slice(at, next));
    parts.push(part);
    length += part.length;
    if (length > piece.limit) {
      throw new ComponentError('pre_tokenizer ByteLevel', `makes a text longer than ${piece.limit}; use one of them`);
    }
    at = next;
    if (at < text.length) yield undefined;
  }
  yield { ...piece, text: parts.length === 1 ? parts[0]! : parts.join('') };
}

function words(): RegExp {
  const [letter, number] = [`[\\p{L}${UNTIL_16}]`, `[\\p{N}${UNTIL_16}]`];
  const space = '\\p{White_Space}';
  const other = `[^${space}${letter}${number}]`;
  return new RegExp(
    `'s|'t|'re|'ve|'m|'ll|'d| ?${letter}+| ?${number}+| ?${other}+|[${space}]+(?![^${space}])|[${space}]+`,
    'gv',
  );
}

import { byteLevel } from '../bytes.js';
import { ComponentError, type Settings } from '../component.js';
import { choice, letters, NativePattern, optional, run, sequence } from '../pattern/native.js';
import { split } from '../pattern/splitter.js';
import { type Piece, prepend } from '../piece.js';
import { STEP } from '../steps.js';
import { cutBefore, UNTIL_16 } from '../unicode.js';
import { type PreTokenizer, slices } from './pre-tokenizer.js';

const LETTER = `[\\p{L}${UNTIL_16}]`;
const NUMBER = `[\\p{N}${UNTIL_16}]`;
const SPACE = '[\\p{White_Space}]';
const NOT_SPACE = `[^${SPACE}]`;

/**
 * GPT-2's words: '(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+. Only the alternative for
 * white space in front of something gives anything back, and that one character.
 */
const WORDS = new NativePattern(
  choice(
    ...["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map(letters),
    sequence(optional('[ ]'), run(LETTER)),
    sequence(optional('[ ]'), run(NUMBER)),
    sequence(optional('[ ]'), run(`[^${SPACE}${LETTER}${NUMBER}]`)),
    sequence(run(SPACE), { kind: 'look', behind: false, negative: true, options: [[NOT_SPACE]] }),
    run(SPACE),
  ),
);

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
    for (const word of slices(piece, split(piece.text.length, WORDS.find(piece.text), 'Isolated'))) {
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

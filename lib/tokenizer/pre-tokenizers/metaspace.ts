import type { Settings } from '../component.js';
import { occurrences, split } from '../pattern/splitter.js';
import { type Piece, prepend } from '../piece.js';
import { STEP } from '../steps.js';
import { type PreTokenizer, slices } from './pre-tokenizer.js';

/** Writes spaces as a character that can be seen, puts one in front where that is wanted, and splits in front of each. */
export function metaspace(settings: Settings): PreTokenizer {
  const sign = settings.character('replacement');
  let scheme = settings.oneOf('prepend_scheme', ['always', 'first', 'never'], 'always');
  if (settings.get('add_prefix_space') !== undefined && !settings.boolean('add_prefix_space')) {
    if (scheme !== 'never') throw settings.error('add_prefix_space is false; set prepend_scheme to "never" as well');
    scheme = 'never';
  }
  const splits = settings.boolean('split', true);
  return function* (piece) {
    yield* written(piece, sign);
    const isWanted = scheme === 'always' || (scheme === 'first' && piece.leading > 0);
    if (isWanted && !piece.text.startsWith(sign)) prepend(piece, sign);
    if (splits) yield* slices(piece, split(piece.text.length, occurrences(piece.text, sign), 'MergedWithNext'));
    else yield piece;
  };
}

function* written(piece: Piece, sign: string): Generator<undefined> {
  if (piece.leading > 0) piece.leading = piece.text.slice(0, piece.leading).replaceAll(' ', sign).length;
  if (piece.text.length <= STEP) {
    piece.text = piece.text.replaceAll(' ', sign);
    return;
  }
  const parts: string[] = [];
  for (let at = 0; at < piece.text.length; at += STEP) {
    parts.push(piece.text.slice(at, at + STEP).replaceAll(' ', sign));
    yield;
  }
  piece.text = parts.join('');
}

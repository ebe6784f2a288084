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
  const { text } = piece;
  if (piece.leading > 0) piece.leading = withSigns(text.slice(0, piece.leading), sign).length;
  if (text.length <= STEP) {
    piece.text = withSigns(text, sign);
    return;
  }
  const parts: string[] = [];
  for (let at = 0; at < text.length; at += STEP) {
    parts.push(withSigns(text.slice(at, at + STEP), sign));
    yield;
  }
  piece.text = parts.join('');
}

/** By a regular expression: replaceAll makes a rope of parts, which costs a pause to collect where there are millions. */
function withSigns(text: string, sign: string): string {
  return text.replace(/ /g, sign === '$' ? '$$' : sign);
}

import { type Behavior, nativeMatches, split } from '../pattern/splitter.js';
import { type Piece, slice } from '../piece.js';

/** Splits a piece, e.g. into words. It may change the pieces as well. `undefined` is a place to let other work run. */
export type PreTokenizer = (piece: Piece) => Iterable<Piece | undefined>;

/** The parts of a piece, from where they start and end. */
export function* slices(
  piece: Piece,
  ranges: Iterable<readonly [start: number, end: number] | undefined>,
): Generator<Piece | undefined> {
  for (const range of ranges) {
    if (range === undefined) yield undefined;
    else yield range[0] === 0 && range[1] === piece.text.length ? piece : slice(piece, range[0], range[1]);
  }
}

/** Keeps what a regular expression matches, and nothing else. It must take time in proportion to the text. */
export function matching(pattern: RegExp): PreTokenizer {
  return (piece) => slices(piece, nativeMatches(pattern, piece.text));
}

/** Splits at what a regular expression matches. It must take time in proportion to the text. */
export function splitting(pattern: RegExp, behavior: Behavior): PreTokenizer {
  return (piece) => slices(piece, split(piece.text.length, nativeMatches(pattern, piece.text), behavior));
}

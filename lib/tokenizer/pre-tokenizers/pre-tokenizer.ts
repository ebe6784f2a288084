import { NativePattern } from '../pattern/native.js';
import type { Node } from '../pattern/parse.js';
import { type Behavior, split } from '../pattern/splitter.js';
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

/** Keeps what a pattern matches, and nothing else. */
export function matching(node: Node): PreTokenizer {
  const pattern = new NativePattern(node);
  return (piece) => slices(piece, pattern.find(piece.text));
}

/** Splits at what a pattern matches. */
export function splitting(node: Node, behavior: Behavior): PreTokenizer {
  const pattern = new NativePattern(node);
  return (piece) => slices(piece, split(piece.text.length, pattern.find(piece.text), behavior));
}

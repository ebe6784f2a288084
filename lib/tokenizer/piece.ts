import { ComponentError } from './component.js';
import type { Steps } from './steps.js';

/** A part of a text on its way from what was given to the words that a model is asked for. */
export interface Piece {
  text: string;
  /**
   * How many units of `text`, from its first on, stand for the very first character that was given: Metaspace asks. Always 0 if
   * not asked for.
   */
  leading: number;
  /** The most units that its text may grow to. */
  readonly limit: number;
}

/** Changes the text of a piece before it is split. */
export type Normalizer = (piece: Piece) => Steps;

/** Splits a piece, e.g. into words. It may change the pieces as well. `undefined` is a place to let other work run. */
export type PreTokenizer = (piece: Piece) => Iterable<Piece | undefined>;

/** The part [start, end) of a piece. */
export function slice({ text, leading, limit }: Piece, start: number, end: number): Piece {
  return { text: text.slice(start, end), leading: Math.max(0, Math.min(leading, end) - start), limit };
}

/** Puts text in front of a piece that has some. It stands for what the first character stands for. */
export function prepend(piece: Piece, text: string): void {
  if (piece.text === '') return;
  if (piece.leading > 0) piece.leading += text.length;
  piece.text = text + piece.text;
}

/** @throws ComponentError where a normalizer has made too much of a piece */
export function checkGrowth(name: string, length: number, limit: number): void {
  if (length <= limit) return;
  throw new ComponentError(`normalizer ${name}`, `makes a text longer than ${limit} characters; shorten what it adds`);
}

/**
 * What comes of a text, from left to right: the ids of a word, or the first of many that it has; or the id of an added
 * token. `undefined` is a pause.
 */
export type Ids = readonly number[] | { readonly unfinished: readonly number[] } | number | undefined;

import { ComponentError } from '../component.js';
import type { Piece } from '../piece.js';
import { STEP, type Steps } from '../steps.js';
import { cutBefore } from '../unicode.js';

/** Changes the text of a piece before it is split. */
export type Normalizer = (piece: Piece) => Steps;

/**
 * A normaliser whose result for a text is that for its parts, wherever `cutBefore` cuts it.
 *
 * @param convert what it makes of a part
 */
export function local(convert: (part: string) => string): Normalizer {
  return function* (piece) {
    const { text } = piece;
    if (piece.leading > 0) piece.leading = convert(text.slice(0, piece.leading)).length;
    if (text.length <= STEP) {
      piece.text = convert(text);
      return;
    }
    const parts: string[] = [];
    for (let at = 0; at < text.length; ) {
      const next = at + STEP >= text.length ? text.length : cutBefore(text, at, at + STEP);
      parts.push(convert(text.slice(at, next)));
      at = next;
      yield;
    }
    piece.text = parts.join('');
  };
}

/** @throws ComponentError where a normaliser has made too much of a piece */
export function checkGrowth(name: string, length: number, limit: number): void {
  if (length <= limit) return;
  throw new ComponentError(`normalizer ${name}`, `makes a text longer than ${limit} characters; shorten what it adds`);
}

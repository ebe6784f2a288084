import type { Settings } from '../component.js';
import { isSpace } from '../unicode.js';
import type { Normalizer } from './normalizer.js';

/** Removes white space at the start or the end of a piece. */
export function strip(settings: Settings): Normalizer {
  const left = settings.boolean('strip_left');
  const right = settings.boolean('strip_right');
  // biome-ignore lint/correctness/useYield: nothing here takes long
  return function* (piece) {
    const { text, leading } = piece;
    let start = 0;
    let end = text.length;
    if (left) while (start < end && isSpace(text.charCodeAt(start))) start++;
    if (right) while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
    piece.text = text.slice(start, end);
    piece.leading = Math.max(0, Math.min(leading, end) - start);
  };
}

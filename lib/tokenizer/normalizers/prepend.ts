import type { Settings } from '../component.js';
import { prepend } from '../piece.js';
import { checkGrowth, type Normalizer } from './normalizer.js';

/** Puts a text in front of each piece that has some. */
export function prependText(settings: Settings): Normalizer {
  const text = settings.string('prepend');
  // biome-ignore lint/correctness/useYield: nothing here takes long
  return function* (piece) {
    checkGrowth('Prepend', piece.text.length + text.length, piece.limit);
    prepend(piece, text);
  };
}

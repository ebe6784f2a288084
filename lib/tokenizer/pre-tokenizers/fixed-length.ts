import type { Settings } from '../component.js';
import { type PreTokenizer, slices } from './pre-tokenizer.js';

/** Splits into parts of so many characters. */
export function fixedLength(settings: Settings): PreTokenizer {
  const length = settings.get('length') ?? 5;
  if (!Number.isSafeInteger(length) || (length as number) < 1)
    throw settings.error('length must be a positive integer');
  return (piece) => slices(piece, ranges(piece.text, length as number));
}

function* ranges(text: string, length: number): Generator<readonly [start: number, end: number] | undefined> {
  let start = 0;
  let count = 0;
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) {
    if (count === length) {
      yield [start, at];
      start = at;
      count = 0;
    }
    count++;
    if (count % 4096 === 0) yield undefined;
  }
  if (start < text.length) yield [start, text.length];
}

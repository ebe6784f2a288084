import type { Settings } from '../component.js';
import { readFinder } from '../pattern/splitter.js';
import { checkGrowth, type Normalizer } from './normalizer.js';

/** Puts a text in the place of each match of a pattern. */
export function replace(settings: Settings): Normalizer {
  const find = readFinder(settings);
  const content = settings.string('content');
  return function* (piece) {
    const { text, leading, limit } = piece;
    if (text === '') return;
    // Joined now and then: to join millions of parts at once takes too long.
    const joined: string[] = [];
    let parts: string[] = [];
    let length = 0;
    let from = 0;
    const add = (part: string) => {
      parts.push(part);
      length += part.length;
      checkGrowth('Replace', length, limit);
    };
    // Where the result stops to stand for the very first character.
    let led = 0;
    const keep = (start: number, end: number) => {
      if (start < leading) led = length + Math.min(end, leading) - start;
      add(text.slice(start, end));
    };
    for (const match of find(text)) {
      if (match === undefined) {
        yield;
        continue;
      }
      const [start, end] = match;
      keep(from, start);
      add(content);
      // What is put in stands for the last character in its place, or for the one in front where there is none.
      if (leading > 0 && end <= leading) led = length;
      if (parts.length >= 1024) {
        joined.push(parts.join(''));
        parts = [];
        yield;
      }
      from = end;
    }
    keep(from, text.length);
    piece.leading = led;
    piece.text = joined.join('') + parts.join('');
  };
}

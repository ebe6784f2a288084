import { endOfString } from './json.js';

const OPENING = /[[{]/;
const CLOSING = /[\]}]/;

/**
 * The members of an object of JSON as they are written: values in JavaScript lose digits of large integers, and put keys
 * that are integers first.
 *
 * @param text of one object, valid
 * @returns its keys and the text of each value, in the order of the text
 */
export function jsonMembers(text: string): [key: string, value: string][] {
  const members: [string, string][] = [];
  let depth = 0;
  let key = '';
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === '"') {
      i = endOfString(text, i) - 1;
    } else if (character === ':' && depth === 1) {
      key = JSON.parse(text.slice(start, i)) as string;
      start = i + 1;
    } else if (depth === 1 && (character === ',' || character === '}')) {
      const value = text.slice(start, i).trim();
      if (value !== '') members.push([key, value]);
      start = i + 1;
      if (character === '}') break;
    } else if (OPENING.test(character)) {
      if (depth++ === 0) start = i + 1;
    } else if (CLOSING.test(character)) {
      depth--;
    }
  }
  return members;
}

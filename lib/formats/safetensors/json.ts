import { endOfString, MAX_JSON_DEPTH } from '../../files/json.js';

const COLON = 0x3a;

/** Commas and colons of a header: those of more than 100,000 tensors. More would hold up the event loop. */
const MOST_PARTS = 2 ** 20;

/**
 * Looks for what JSON.parse lets pass: a key that an object holds twice (the last would win in silence), nesting deeper
 * than 128, and more than a million keys and values.
 *
 * @param text JSON; where it is not valid, JSON.parse is left to say so
 * @returns the fault in words, or undefined
 */
export function findJsonFault(text: string): string | undefined {
  /** The keys of each object (and array) that is open; made when there is one. */
  const open: (Set<string> | undefined)[] = [];
  let parts = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '{':
      case '[':
        if (open.push(undefined) > MAX_JSON_DEPTH) return `its header is nested deeper than ${MAX_JSON_DEPTH}`;
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case ',':
      case ':':
        if (++parts > MOST_PARTS) return `its header has more than ${MOST_PARTS} keys and values`;
        break;
      case '"': {
        const end = endOfString(text, i);
        if (isKey(text, end)) {
          const key = decode(text.slice(i, end));
          const keys = open.at(-1) ?? new Set();
          open[open.length - 1] = keys;
          if (keys.has(key)) return `the name ${JSON.stringify(key)} occurs twice`;
          keys.add(key);
        }
        i = end - 1;
      }
    }
  }
  return undefined;
}

/** In valid JSON a string is a key if and only if a colon follows. */
function isKey(text: string, end: number): boolean {
  let i = end;
  while (i < text.length && ' \t\n\r'.includes(text[i]!)) i++;
  return text.charCodeAt(i) === COLON;
}

/** "\u0061" and "a" are one key. */
function decode(literal: string): string {
  if (!literal.includes('\\')) return literal.slice(1, -1);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return literal;
  }
}

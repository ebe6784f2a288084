import { AFTER_16, UNTIL_16 } from '../unicode.js';

/** A set of characters, asked for one at a time and remembered. */
export class CharacterSet {
  private readonly test: RegExp;
  /** What is known of each 256 characters: 0 nothing, 1 not in the set, 2 in it. */
  private readonly known: (Uint8Array | undefined)[] = [];

  /** @param source the set as a character class in JavaScript's `v` syntax */
  constructor(source: string) {
    this.test = new RegExp(`^${source}$`, 'v');
  }

  has(code: number): boolean {
    this.known[code >> 8] ??= new Uint8Array(256);
    const known = this.known[code >> 8]!;
    if (known[code & 255] === 0) known[code & 255] = this.test.test(String.fromCodePoint(code)) ? 2 : 1;
    return known[code & 255] === 2;
  }
}

const SPACE = '\\p{White_Space}';
const DIGIT = `[\\p{Nd}${UNTIL_16}]`;
const POSIX_WORD = `[[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]${UNTIL_16}]`;
const HEX = '0-9A-Fa-f';

/** The classes of one letter: \d, \h, \s, \w. Superscripts and fractions of Latin-1 are in words to the library. */
export const ESCAPED_CLASSES: Readonly<Record<string, string>> = {
  d: DIGIT,
  h: `[${HEX}]`,
  s: `[${SPACE}]`,
  w: `[${POSIX_WORD}\\xb2\\xb3\\xb9\\xbc-\\xbe]`,
};

/** The same in brackets, where the superscripts and fractions are not. */
export const CLASSES_IN_BRACKETS: Readonly<Record<string, string>> = { ...ESCAPED_CLASSES, w: POSIX_WORD };

/** What stands in [[:name:]], and but for punct and word in \p{name} as well. */
export const NAMED_CLASSES: Readonly<Record<string, string>> = {
  alnum: `[[\\p{Alphabetic}\\p{Nd}]${UNTIL_16}]`,
  alpha: `[\\p{Alphabetic}${UNTIL_16}]`,
  ascii: '[\\x00-\\x7f]',
  blank: '[\\t\\p{Zs}]',
  cntrl: '[\\p{Cc}]',
  digit: DIGIT,
  graph: `[[^${SPACE}\\p{Cc}\\p{Cn}\\p{Cs}]${UNTIL_16}]`,
  lower: `[[\\p{Lowercase}\\u0295]${UNTIL_16}]`,
  print: `[[^\\p{Cc}\\p{Cn}\\p{Cs}\\u2028\\u2029]${UNTIL_16}]`,
  punct: `[[\\p{P}\\p{S}]${UNTIL_16}]`,
  space: `[${SPACE}]`,
  upper: `[\\p{Uppercase}${UNTIL_16}]`,
  word: POSIX_WORD,
  xdigit: `[${HEX}]`,
};

const CATEGORIES = 'L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp Cc Cf Co';

/** The set that \p{name} stands for, or undefined for one that is not known here. */
export function property(name: string): string | undefined {
  if (name === 'C' || name === 'Cn') return `[\\p{${name}}${AFTER_16}]`;
  if (name === 'Ll') return `[[\\p{Ll}\\u0295]${UNTIL_16}]`;
  if (name === 'Lo') return `[\\p{Lo}--[\\u0295${AFTER_16}]]`;
  if (CATEGORIES.split(' ').includes(name)) return `[\\p{${name}}${UNTIL_16}]`;
  // Without the symbols that [[:punct:]] has.
  if (name.toLowerCase() === 'punct') return `[\\p{P}${UNTIL_16}]`;
  if (/^(unknown|zzzz)$/i.test(name)) return undefined;
  if (/^[a-z]+$/i.test(name) && Object.hasOwn(NAMED_CLASSES, name.toLowerCase())) {
    return NAMED_CLASSES[name.toLowerCase()];
  }
  const script = `[\\p{Script=${name}}${UNTIL_16}]`;
  try {
    new RegExp(script, 'v');
  } catch {
    return undefined;
  }
  return script;
}

/** A character as it stands in such a class. */
export function escaped(code: number): string {
  return `\\u{${code.toString(16)}}`;
}

/** The characters that are the same but for case, as far as single ones go. */
export function withCases(code: number): string {
  const character = String.fromCodePoint(code);
  const cases = [character.toLowerCase(), character.toUpperCase(), ...(OTHER_CASES[character.toLowerCase()] ?? '')];
  return cases.map((each) => escaped(each.codePointAt(0)!)).join('');
}

/** The long s and the sign for kelvin. */
const OTHER_CASES: Readonly<Record<string, string>> = { s: '\u017f', k: '\u212a' };

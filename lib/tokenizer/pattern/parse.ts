import { CLASSES_IN_BRACKETS, ESCAPED_CLASSES, escaped, NAMED_CLASSES, property, withCases } from './characters.js';

/** A pattern, or a part of one. Sets of characters are classes in JavaScript's `v` syntax. */
export type Node =
  | { readonly kind: 'set'; readonly source: string }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'choice'; readonly options: readonly Node[] }
  | {
      readonly kind: 'repeat';
      readonly of: Node;
      readonly min: number;
      readonly max: number;
      readonly mode: RepeatMode;
    }
  | {
      readonly kind: 'look';
      readonly behind: boolean;
      readonly negative: boolean;
      readonly options: readonly string[][];
    }
  | { readonly kind: 'assert'; readonly what: Assertion };

export type RepeatMode = 'greedy' | 'lazy' | 'possessive';
/** ^, $, \A, \z, \Z, \b, \B. */
export type Assertion = 'line-start' | 'line-end' | 'start' | 'end' | 'last-line-end' | 'boundary' | 'no-boundary';

/** What is wrong with a pattern, or not known of it. */
export class PatternError extends Error {}

const MOST_CHARACTERS = 10_000;
const MOST_LEVELS = 100;
const MOST_REPEATS = 1000;
/** Most characters that a look ahead or behind may see. */
const MOST_SEEN = 256;

const ESCAPES: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, a: 7, e: 27 };
const ASSERTIONS: Readonly<Record<string, Assertion>> = {
  A: 'start',
  z: 'end',
  Z: 'last-line-end',
  b: 'boundary',
  B: 'no-boundary',
};
/** Letters in a row that are the same as one character but for case: it would have to be tried as well. */
const LIGATURES = /ss|ff|fi|fl|st/i;

interface Flags {
  ignoreCase: boolean;
  dotAll: boolean;
  extended: boolean;
}

/**
 * Reads a regular expression as Oniguruma does with Ruby's syntax, which Hugging Face's tokenizers library uses.
 *
 * @throws PatternError for one that is broken, or with something that is not known here: back-references, calls,
 *   conditions, atomic groups, look-arounds of any length
 */
export function parse(pattern: string): Node {
  if (pattern.length > MOST_CHARACTERS) throw new PatternError(`is longer than ${MOST_CHARACTERS} characters`);
  return new Parser(pattern).parse();
}

const QUANTIFIER = /^(?:([*+?])|\{(\d{0,5})(,?)(\d{0,5})\})/;

class Parser {
  private at = 0;
  private level = 0;
  private flags: Flags = { ignoreCase: false, dotAll: false, extended: false };

  constructor(private readonly pattern: string) {}

  parse(): Node {
    const node = this.choice();
    if (this.at < this.pattern.length) throw new PatternError('has a ) without its (');
    return node;
  }

  /** What is between two parentheses: a|b|c. */
  private choice(): Node {
    if (++this.level > MOST_LEVELS) throw new PatternError(`nests groups more than ${MOST_LEVELS} deep`);
    const flags = { ...this.flags };
    const options: Node[] = [];
    do options.push(this.sequence());
    while (this.take('|'));
    this.flags = flags;
    this.level--;
    return options.length === 1 ? options[0]! : { kind: 'choice', options };
  }

  private sequence(): Node {
    const parts: Node[] = [];
    let letters = '';
    for (;;) {
      const next = this.pattern[this.at];
      if (next === undefined || next === '|' || next === ')') break;
      const start = this.at;
      const atom = this.atom();
      if (atom === undefined) {
        if (QUANTIFIER.test(this.pattern.slice(this.at, this.at + 14))) {
          throw this.unknown('has a quantifier after a comment, a flag or a space');
        }
        continue;
      }
      letters = this.flags.ignoreCase && atom.kind === 'set' ? letters + this.pattern.slice(start, this.at) : '';
      if (LIGATURES.test(letters)) throw this.unknown('ignores the case of letters that have a ligature');
      parts.push(this.repeated(atom));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
  }

  /** The next thing that can be repeated; nothing for a comment, a space in an extended pattern, or a flag. */
  private atom(): Node | undefined {
    const character = this.character();
    switch (character) {
      case '(':
        return this.group();
      case '[':
        return { kind: 'set', source: this.set() };
      case '.':
        return { kind: 'set', source: this.flags.dotAll ? '[\\x00-\\u{10ffff}]' : '[^\\n]' };
      case '^':
        return { kind: 'assert', what: 'line-start' };
      case '$':
        return { kind: 'assert', what: 'line-end' };
      case '\\':
        return this.escape();
      case '*':
      case '+':
      case '?':
        throw new PatternError(`repeats nothing at ${this.at - 1}`);
      default:
        if (this.flags.extended && /[\t-\r ]/.test(character)) return undefined;
        if (this.flags.extended && /[\s\x85]/.test(character)) throw this.unknown('has a space beyond ASCII');
        if (this.flags.extended && character === '#') {
          while (this.at < this.pattern.length && !this.take('\n')) this.at++;
          return undefined;
        }
        return this.literal(character.codePointAt(0)!);
    }
  }

  private literal(code: number): Node {
    if (!this.flags.ignoreCase) return { kind: 'set', source: `[${escaped(code)}]` };
    if (code > 0x7f) throw this.unknown('ignores the case of letters beyond ASCII');
    return { kind: 'set', source: `[${withCases(code)}]` };
  }

  private escape(): Node {
    const letter = this.character();
    if (letter in ASSERTIONS) return { kind: 'assert', what: ASSERTIONS[letter]! };
    const set = this.escapedSet(letter, ESCAPED_CLASSES);
    return set === undefined ? this.literal(this.escapedCode(letter)) : { kind: 'set', source: set };
  }

  /** The set that \d, \W, \p{L} and the like stand for; undefined for other letters. */
  private escapedSet(letter: string, classes: Readonly<Record<string, string>>): string | undefined {
    const known = classes[letter.toLowerCase()];
    if (known !== undefined) return letter === letter.toLowerCase() ? known : `[^${known}]`;
    if (letter !== 'p' && letter !== 'P') return undefined;
    const [all, negated, name] = /^\{(\^?)([A-Za-z_ -]+)\}/.exec(this.pattern.slice(this.at, this.at + 64)) ?? [];
    if (all === undefined) throw new PatternError(`has no name in braces for \\${letter}`);
    if (this.flags.ignoreCase) throw this.unknown('ignores the case of a class of characters');
    this.at += all.length;
    const source = name!.toLowerCase() === 'word' ? classes.w : property(name!);
    if (source === undefined) throw new PatternError(`has \\${letter}${all}, which is not supported`);
    return (letter === 'P') === (negated === '^') ? source : `[^${source}]`;
  }

  /** The character that \n, \x41, \u0041, \x{41} or an escaped sign stands for. */
  private escapedCode(letter: string): number {
    if (letter in ESCAPES) return ESCAPES[letter]!;
    if (letter === 'x' || letter === 'u') {
      const digits = letter === 'u' ? /^([0-9A-Fa-f]{4})/ : /^(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{1,2}))/;
      const [all, first, second] = digits.exec(this.pattern.slice(this.at, this.at + 10)) ?? [];
      const code = Number.parseInt(first ?? second ?? '', 16);
      // Bytes beyond ASCII would be parts of characters.
      const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) && (second === undefined || code < 0x80);
      if (all === undefined || !isCharacter) throw new PatternError(`has \\${letter} without a character`);
      this.at += all.length;
      return code;
    }
    if (/[A-Za-z0-9]/.test(letter)) throw this.unknown(`has \\${letter}`);
    return letter.codePointAt(0)!;
  }

  private group(): Node | undefined {
    if (!this.take('?')) return this.groupEnd(this.choice());
    if (this.take(':')) return this.groupEnd(this.choice());
    if (this.take('=')) return this.look(false, false);
    if (this.take('!')) return this.look(false, true);
    if (this.take('<=')) return this.look(true, false);
    if (this.take('<!')) return this.look(true, true);
    if (this.take('#')) {
      const end = this.pattern.indexOf(')', this.at);
      if (end < 0) throw new PatternError('has a ( without its )');
      this.at = end + 1;
      return undefined;
    }
    const [name] = /^(<[A-Za-z_]\w*>|'[A-Za-z_]\w*')/.exec(this.pattern.slice(this.at, this.at + 100)) ?? [];
    if (name !== undefined) {
      this.at += name.length;
      return this.groupEnd(this.choice());
    }
    return this.flagGroup();
  }

  /** (?i:…), or (?i) up to the end of the group. */
  private flagGroup(): Node | undefined {
    const [all, on, off, end] = /^([imx]*)(?:-([imx]*))?([:)])/.exec(this.pattern.slice(this.at, this.at + 10)) ?? [];
    if (all === undefined) throw this.unknown(`has (?${this.pattern.slice(this.at, this.at + 1)}`);
    this.at += all.length;
    const flags = { ...this.flags };
    const set = (letters: string, value: boolean) => {
      if (letters.includes('i')) this.flags.ignoreCase = value;
      if (letters.includes('m')) this.flags.dotAll = value;
      if (letters.includes('x')) this.flags.extended = value;
    };
    set(on ?? '', true);
    set(off ?? '', false);
    const node = this.choice();
    if (end === ')') return node;
    this.flags = flags;
    return this.groupEnd(node);
  }

  private groupEnd(node: Node): Node {
    if (!this.take(')')) throw new PatternError('has a ( without its )');
    return node;
  }

  /** A look ahead or behind: one of a few rows of sets, each of known length. */
  private look(behind: boolean, negative: boolean): Node {
    const options = this.rows(this.groupEnd(this.choice()));
    return { kind: 'look', behind, negative, options };
  }

  private rows(node: Node): string[][] {
    const rows = this.rowsOf(node);
    if (rows === undefined || rows.reduce((sum, row) => sum + row.length, 0) > MOST_SEEN) {
      throw this.unknown('looks at a text of any length');
    }
    return rows;
  }

  private rowsOf(node: Node): string[][] | undefined {
    switch (node.kind) {
      case 'set':
        return [[node.source]];
      case 'choice': {
        const rows = node.options.map((option) => this.rowsOf(option));
        return rows.includes(undefined) ? undefined : (rows as string[][][]).flat();
      }
      case 'sequence':
        return this.product(node.parts);
      case 'repeat':
        if (node.min !== node.max || node.min > MOST_SEEN) return undefined;
        return this.product(new Array<Node>(node.min).fill(node.of));
      default:
        return undefined;
    }
  }

  private product(parts: readonly Node[]): string[][] | undefined {
    let rows: string[][] = [[]];
    for (const part of parts) {
      const more = this.rowsOf(part);
      if (more === undefined || rows.length * more.length > MOST_SEEN) return undefined;
      rows = rows.flatMap((row) => more.map((end) => [...row, ...end]));
    }
    return rows;
  }

  /** What follows an atom: *, +, ?, {2,5}, each with ? for lazy, the first three with + for possessive. */
  private repeated(atom: Node): Node {
    let node = atom;
    for (;;) {
      const [all, sign, least, comma, most] = QUANTIFIER.exec(this.pattern.slice(this.at, this.at + 14)) ?? [];
      const isCount = sign === undefined && (least !== '' || most !== '');
      if (all === undefined || (sign === undefined && !isCount)) return node;
      this.at += all.length;
      const min = sign === '+' ? 1 : Number(least || 0);
      let max = sign === '?' ? 1 : Number.POSITIVE_INFINITY;
      if (isCount) max = comma === '' ? min : most === '' ? Number.POSITIVE_INFINITY : Number(most);
      if (min > max) throw new PatternError(`repeats ${min} to ${max} times`);
      if (min > MOST_REPEATS || (max > MOST_REPEATS && max !== Number.POSITIVE_INFINITY)) {
        throw new PatternError(`repeats more than ${MOST_REPEATS} times`);
      }
      let mode: RepeatMode = 'greedy';
      if (this.take('?')) {
        if (isCount && comma === '') throw this.unknown('has {n}?');
        mode = 'lazy';
      } else if (!isCount && this.take('+')) mode = 'possessive';
      node = this.repeat(node, min, max, mode);
    }
  }

  private repeat(of: Node, min: number, max: number, mode: RepeatMode): Node {
    if (of.kind === 'assert' || of.kind === 'look') throw this.unknown('repeats what has no length');
    if (mode === 'possessive' && of.kind !== 'set') throw this.unknown('repeats a group possessively');
    if (max > 1 && canBeEmpty(of)) throw this.unknown('repeats what may be empty');
    return { kind: 'repeat', of, min, max, mode };
  }

  /** A class in brackets, behind its [. Returned in JavaScript's syntax. */
  private set(): string {
    if (++this.level > MOST_LEVELS) throw new PatternError(`nests classes more than ${MOST_LEVELS} deep`);
    const negated = this.take('^');
    const intersected: string[] = [];
    let members = '';
    let isFirst = true;
    for (;;) {
      if (this.at >= this.pattern.length) throw new PatternError('has a [ without its ]');
      if (!isFirst && this.take(']')) break;
      if (this.take('&&')) {
        intersected.push(`[${members}]`);
        members = '';
        continue;
      }
      members += this.member();
      isFirst = false;
    }
    this.level--;
    intersected.push(`[${members}]`);
    const source = intersected.length === 1 ? `[${members}]` : `[${intersected.join('&&')}]`;
    return negated ? `[^${source}]` : source;
  }

  private member(): string {
    const name = /^\[:(\^?)([a-z]+):\]/.exec(this.pattern.slice(this.at, this.at + 20));
    if (name !== null) {
      const source = Object.hasOwn(NAMED_CLASSES, name[2]!) ? NAMED_CLASSES[name[2]!] : undefined;
      if (source === undefined) throw new PatternError(`has ${name[0]}, which is not supported`);
      this.at += name[0].length;
      return name[1] === '^' ? `[^${source}]` : source;
    }
    if (this.take('[')) return this.set();
    const first = this.endpoint();
    if (typeof first === 'string') return first;
    const isRange = this.pattern[this.at] === '-' && ![']', undefined].includes(this.pattern[this.at + 1]);
    if (!isRange) return this.flags.ignoreCase ? this.cased(first, first) : escaped(first);
    this.at++;
    if (this.pattern[this.at] === '[') throw this.unknown('has a class behind a - in a class');
    const last = this.endpoint();
    if (typeof last === 'string') throw this.unknown('has a range up to a class');
    if (last < first) throw new PatternError('has a range that goes backwards');
    return this.flags.ignoreCase ? this.cased(first, last) : `${escaped(first)}-${escaped(last)}`;
  }

  /** A character of a class, or a class in it. */
  private endpoint(): number | string {
    const character = this.character();
    if (character !== '\\') return character.codePointAt(0)!;
    const letter = this.character();
    if (letter === 'b') return 8;
    return this.escapedSet(letter, CLASSES_IN_BRACKETS) ?? this.escapedCode(letter);
  }

  private cased(first: number, last: number): string {
    if (last > 0x7f) throw this.unknown('ignores the case of letters beyond ASCII');
    return Array.from({ length: last - first + 1 }, (_, i) => withCases(first + i)).join('');
  }

  /** The next character, which is read. */
  private character(): string {
    const code = this.pattern.codePointAt(this.at);
    if (code === undefined) throw new PatternError('ends in the middle');
    const character = String.fromCodePoint(code);
    this.at += character.length;
    return character;
  }

  /** Reads what comes next if it is this. */
  private take(text: string): boolean {
    if (!this.pattern.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private unknown(what: string): PatternError {
    return new PatternError(`${what}, which is not supported here; write the pattern without it`);
  }
}

function canBeEmpty(node: Node): boolean {
  switch (node.kind) {
    case 'set':
      return false;
    case 'sequence':
      return node.parts.every(canBeEmpty);
    case 'choice':
      return node.options.some(canBeEmpty);
    case 'repeat':
      return node.min === 0 || canBeEmpty(node.of);
    default:
      return true;
  }
}

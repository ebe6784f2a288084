import type { Steps } from '../steps.js';
import { STEP } from '../steps.js';
import type { CharacterSet } from './characters.js';
import { type Assertion, PatternError } from './parse.js';
import type { Program } from './program.js';

/** Where a match is. It may be empty. */
export type Match = readonly [start: number, end: number];

/** Positions that the states at them are kept together for. */
const BLOCK = 1024;
/** Most memory for states, and for ways to try, in words of 32 bits. */
const MOST_WORDS = 2 ** 24;

/**
 * All matches of a pattern in a text, from left to right: of several at one place the one that Perl and Oniguruma take.
 *
 * Backtracking that notes which states (instruction, position) led to nothing and never enters them again, whatever
 * match it is looking for: its time is in proportion to the length of the program times that of the text, for any
 * pattern. As it has no back-references, a state leads to the same wherever it was come from.
 *
 * @throws PatternError where that takes too much memory
 */
export function* findAll(program: Program, text: string): Generator<Match | undefined> {
  const matcher = new Matcher(program, text);
  let from = 0;
  let lastEnd = -1;
  while (from <= text.length) {
    const start = yield* matcher.search(from);
    if (start < 0) return;
    const { end } = matcher;
    // As Oniguruma's iterator: no empty match right behind a match.
    if (start === end && end === lastEnd) {
      from += lengthAt(text, from);
      continue;
    }
    yield [start, end];
    from = end;
    lastEnd = end;
  }
}

class Matcher {
  /** Where the last match ends. */
  end = 0;
  /** Where to go on when what is tried comes to nothing: instruction and position of each place. */
  private stack = new Int32Array(256);
  private depth = 0;
  /** Splits that were tried: a bit for each, position by position; blocks of positions as they are needed. */
  private readonly tried: (Uint32Array | undefined)[] = [];
  private readonly words: number;
  private allocated = 0;
  private steps = 0;

  constructor(
    private readonly program: Program,
    private readonly text: string,
  ) {
    this.words = (program.branches + 31) >> 5;
  }

  /** Looks for the first match from a place on. Returns its start, or −1. */
  *search(from: number): Steps<number> {
    const { starts } = this.program;
    const { text } = this;
    for (let start = from; start <= text.length; start += lengthAt(text, start)) {
      if (this.isPaused()) yield;
      this.release(start);
      if (starts !== undefined) {
        if (start === text.length) return -1;
        const code = text.codePointAt(start)!;
        if (!starts.some((set) => set.has(code))) continue;
      }
      if (yield* this.matches(start)) return start;
    }
    return -1;
  }

  /** Whether there is a match that starts here. */
  private *matches(start: number): Steps<boolean> {
    const { code } = this.program;
    const { text } = this;
    this.depth = 0;
    let at = 0;
    let position = start;
    for (;;) {
      if (this.isPaused()) yield;
      const instruction = code[at]!;
      let fails = false;
      switch (instruction.op) {
        case 'match':
          this.end = position;
          this.forget(position);
          return true;
        case 'set':
          if (position < text.length && instruction.set.has(text.codePointAt(position)!)) {
            position += lengthAt(text, position);
            at++;
          } else fails = true;
          break;
        case 'run': {
          const { set, min, max } = instruction;
          let count = 0;
          while (count < max && position < text.length && set.has(text.codePointAt(position)!)) {
            position += lengthAt(text, position);
            count++;
            if (this.isPaused()) yield;
          }
          if (count >= min) at++;
          else fails = true;
          break;
        }
        case 'split':
          if (this.enter(instruction.branch, position)) {
            this.push(instruction.second, position);
            at = instruction.first;
          } else fails = true;
          break;
        case 'jump':
          at = instruction.to;
          break;
        case 'look':
          if (this.sees(instruction.options, instruction.behind, position) !== instruction.negative) at++;
          else fails = true;
          break;
        case 'assert':
          if (this.holds(instruction.what, position)) at++;
          else fails = true;
      }
      if (!fails) continue;
      if (this.depth === 0) return false;
      this.depth -= 2;
      at = this.stack[this.depth]!;
      position = this.stack[this.depth + 1]!;
    }
  }

  private isPaused(): boolean {
    return (++this.steps & (STEP - 1)) === 0;
  }

  private push(at: number, position: number): void {
    if (this.depth + 2 > this.stack.length) {
      if (this.depth > MOST_WORDS) throw tooMuch();
      const larger = new Int32Array(2 * this.stack.length);
      larger.set(this.stack);
      this.stack = larger;
    }
    this.stack[this.depth] = at;
    this.stack[this.depth + 1] = position;
    this.depth += 2;
  }

  /** Notes that a split is tried at a position. False where it was before: it led to nothing. */
  private enter(branch: number, position: number): boolean {
    const tried = this.tried[Math.floor(position / BLOCK)] ?? this.allocate(Math.floor(position / BLOCK));
    const word = (position % BLOCK) * this.words + (branch >> 5);
    const bit = 1 << (branch & 31);
    if ((tried[word]! & bit) !== 0) return false;
    tried[word]! |= bit;
    return true;
  }

  /** Forgets what was tried where a match ends: some of it has led to that match. The next one may start there. */
  private forget(position: number): void {
    const start = (position % BLOCK) * this.words;
    this.tried[Math.floor(position / BLOCK)]?.fill(0, start, start + this.words);
  }

  private allocate(block: number): Uint32Array {
    const size = this.words * Math.min(BLOCK, this.text.length + 1);
    this.allocated += size;
    if (this.allocated > MOST_WORDS) throw tooMuch();
    const tried = new Uint32Array(size);
    this.tried[block] = tried;
    return tried;
  }

  /** Lets go of what is noted of positions that no later match can start at. */
  private release(start: number): void {
    const block = Math.floor(start / BLOCK) - 1;
    if (this.tried[block] === undefined) return;
    this.allocated -= this.tried[block].length;
    this.tried[block] = undefined;
  }

  private sees(options: readonly CharacterSet[][], behind: boolean, position: number): boolean {
    return options.some((row) => (behind ? this.isBehind(row, position) : this.isAhead(row, position)));
  }

  private isAhead(row: readonly CharacterSet[], position: number): boolean {
    let at = position;
    for (const set of row) {
      if (at >= this.text.length || !set.has(this.text.codePointAt(at)!)) return false;
      at += lengthAt(this.text, at);
    }
    return true;
  }

  private isBehind(row: readonly CharacterSet[], position: number): boolean {
    let at = position;
    for (const _ of row) {
      if (at === 0) return false;
      at = before(this.text, at);
    }
    return this.isAhead(row, at);
  }

  private holds(what: Assertion, position: number): boolean {
    const { text } = this;
    switch (what) {
      case 'start':
        return position === 0;
      case 'end':
        return position === text.length;
      case 'line-start':
        return position === 0 || (text[position - 1] === '\n' && position < text.length);
      case 'line-end':
        return position === text.length || text[position] === '\n';
      case 'last-line-end':
        return position === text.length || (position === text.length - 1 && text[position] === '\n');
      default: {
        const left = position > 0 && this.program.word.has(text.codePointAt(before(text, position))!);
        const right = position < text.length && this.program.word.has(text.codePointAt(position)!);
        return (left !== right) === (what === 'boundary');
      }
    }
  }
}

function tooMuch(): PatternError {
  return new PatternError('leaves too many ways to try in this text; write a simpler pattern');
}

/** How many units the character at a place has; 1 at the end. */
function lengthAt(text: string, at: number): number {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800 && at + 1 < text.length ? 2 : 1;
}

/** Where the character in front of a place starts. */
function before(text: string, at: number): number {
  return at > 1 && (text.charCodeAt(at - 1) & 0xfc00) === 0xdc00 ? at - 2 : at - 1;
}

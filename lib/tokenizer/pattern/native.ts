import { findAll, type Match } from './matcher.js';
import type { Node } from './parse.js';
import { compileNode, type Program } from './program.js';

/** Texts up to this length, in UTF-16 units, take JavaScript's engine well below a millisecond. */
const LONGEST = 32_768;

/**
 * A pattern of this library, which must take JavaScript's regular expressions time in proportion to the text. They are
 * faster, but cannot be interrupted: a long text is left to the matcher that can.
 */
export class NativePattern {
  private readonly expression: RegExp;
  private readonly program: Program;

  constructor(node: Node) {
    this.expression = new RegExp(written(node), 'gv');
    this.program = compileNode(node);
  }

  /** What the pattern matches, from left to right. `undefined` is a place to let other work run. */
  find(text: string): Iterable<Match | undefined> {
    return text.length > LONGEST ? findAll(this.program, text) : this.native(text);
  }

  private *native(text: string): Generator<Match> {
    const { expression } = this;
    expression.lastIndex = 0;
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      const end = expression.lastIndex;
      yield [match.index, end];
      // Another text may have been looked through meanwhile.
      expression.lastIndex = end;
    }
  }
}

/** One character of a set. */
export function one(source: string): Node {
  return { kind: 'set', source };
}

/** As many characters of a set as there are, and at least so many. */
export function run(source: string, min = 1): Node {
  return { kind: 'repeat', of: one(source), min, max: Number.POSITIVE_INFINITY, mode: 'greedy' };
}

/** A character of a set, or none. */
export function optional(source: string): Node {
  return { kind: 'repeat', of: one(source), min: 0, max: 1, mode: 'greedy' };
}

export function sequence(...parts: Node[]): Node {
  return { kind: 'sequence', parts };
}

export function choice(...options: Node[]): Node {
  return { kind: 'choice', options };
}

/** The letters as they are. */
export function letters(text: string): Node {
  return sequence(...Array.from(text, (letter) => one(`[${letter}]`)));
}

function written(node: Node): string {
  switch (node.kind) {
    case 'set':
      return node.source;
    case 'sequence':
      return node.parts.map(written).join('');
    case 'choice':
      return `(?:${node.options.map(written).join('|')})`;
    case 'repeat': {
      const max = node.max === Number.POSITIVE_INFINITY ? '' : node.max;
      return `(?:${written(node.of)}){${node.min},${max}}${node.mode === 'lazy' ? '?' : ''}`;
    }
    case 'look': {
      const sign = `?${node.behind ? '<' : ''}${node.negative ? '!' : '='}`;
      return `(${sign}${node.options.map((row) => row.join('')).join('|')})`;
    }
    case 'assert':
      throw new Error(`${node.what} is not the same in JavaScript`);
  }
}

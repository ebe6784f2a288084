import { CharacterSet, ESCAPED_CLASSES } from './characters.js';
import { type Assertion, type Node, PatternError, parse } from './parse.js';

/** What a pattern is compiled to: instructions, each of which goes on at the next one where it names no other. */
export type Instruction =
  /** One character of the set. */
  | { readonly op: 'set'; readonly set: CharacterSet }
  /** As many characters of the set as there are up to `max`, and at least `min`. None of them is given back. */
  | { readonly op: 'run'; readonly set: CharacterSet; readonly min: number; readonly max: number }
  /** Goes on at `first`, and where that comes to nothing at `second`. `branch` numbers these instructions. */
  | { readonly op: 'split'; first: number; second: number; readonly branch: number }
  | { readonly op: 'jump'; to: number }
  | { readonly op: 'look'; readonly behind: boolean; readonly negative: boolean; readonly options: CharacterSet[][] }
  | { readonly op: 'assert'; readonly what: Assertion }
  | { readonly op: 'match' };

export interface Program {
  readonly code: readonly Instruction[];
  /** How many splits there are. */
  readonly branches: number;
  /** What a match starts with: one of these; undefined where it may be empty or looks around first. */
  readonly starts: readonly CharacterSet[] | undefined;
  /** \w, for \b. */
  readonly word: CharacterSet;
}

const MOST_INSTRUCTIONS = 20_000;

/**
 * Compiles a regular expression in Oniguruma's syntax.
 *
 * @throws PatternError for one that is broken, too large, or with something that is not known here
 */
export function compile(pattern: string): Program {
  return compileNode(parse(pattern));
}

/** Compiles a pattern that is read already. */
export function compileNode(node: Node): Program {
  return new Compiler().compile(node);
}

class Compiler {
  private readonly code: Instruction[] = [];
  private readonly sets = new Map<string, CharacterSet>();
  private branches = 0;

  compile(node: Node): Program {
    this.add(node, true);
    this.emit({ op: 'match' });
    return {
      code: this.code,
      branches: this.branches,
      starts: starts(this.code),
      word: this.set(ESCAPED_CLASSES.w!),
    };
  }

  /** @param isLast whether nothing that may fail comes behind it: then nothing needs to be given back */
  private add(node: Node, isLast: boolean): void {
    switch (node.kind) {
      case 'set':
        this.emit({ op: 'set', set: this.set(node.source) });
        break;
      case 'sequence': {
        const { parts } = node;
        let sure = parts.length;
        while (sure > 0 && cannotFail(parts[sure - 1]!)) sure--;
        parts.forEach((part, i) => {
          this.add(part, isLast && i >= sure - 1);
        });
        break;
      }
      case 'choice':
        this.addChoice(node.options, isLast);
        break;
      case 'repeat':
        this.addRepeat(node, isLast);
        break;
      case 'look': {
        const options = node.options.map((row) => row.map((source) => this.set(source)));
        this.emit({ op: 'look', behind: node.behind, negative: node.negative, options });
        break;
      }
      case 'assert':
        this.emit({ op: 'assert', what: node.what });
    }
  }

  private addChoice(options: readonly Node[], isLast: boolean): void {
    const ends: { to: number }[] = [];
    options.forEach((option, i) => {
      if (i === options.length - 1) {
        this.add(option, isLast);
        return;
      }
      const split = this.split();
      this.add(option, isLast);
      ends.push(this.emit({ op: 'jump', to: 0 }));
      split.second = this.code.length;
    });
    for (const end of ends) end.to = this.code.length;
  }

  private addRepeat({ of, min, max, mode }: Node & { kind: 'repeat' }, isLast: boolean): void {
    if (of.kind === 'set' && mode !== 'lazy' && (mode === 'possessive' || isLast || min === max)) {
      this.emit({ op: 'run', set: this.set(of.source), min, max });
      return;
    }
    const isLazy = mode === 'lazy';
    for (let i = 0; i < min; i++) this.add(of, false);
    if (max === Number.POSITIVE_INFINITY) {
      const start = this.code.length;
      const split = this.split();
      this.add(of, false);
      this.emit({ op: 'jump', to: start });
      this.close(split, isLazy);
      return;
    }
    const splits: { first: number; second: number }[] = [];
    for (let i = min; i < max; i++) {
      splits.push(this.split());
      this.add(of, false);
    }
    for (const split of splits) this.close(split, isLazy);
  }

  /** Lets a split leave what it is in front of here: as its second choice, or as its first where it is lazy. */
  private close(split: { first: number; second: number }, isLazy: boolean): void {
    split.second = this.code.length;
    if (isLazy) [split.first, split.second] = [split.second, split.first];
  }

  private split() {
    return this.emit({ op: 'split', first: this.code.length + 1, second: 0, branch: this.branches++ });
  }

  private emit<T extends Instruction>(instruction: T): T {
    if (this.code.length >= MOST_INSTRUCTIONS) throw new PatternError('is too large once its repeats are written out');
    this.code.push(instruction);
    return instruction;
  }

  private set(source: string): CharacterSet {
    let set = this.sets.get(source);
    if (set === undefined) {
      set = new CharacterSet(source);
      this.sets.set(source, set);
    }
    return set;
  }
}

/** Whether a part of a pattern always matches, so that what is in front of it need not give anything back. */
function cannotFail(node: Node): boolean {
  return node.kind === 'repeat' && node.min === 0 && node.of.kind === 'set';
}

/** The sets that every match starts with one of, as far as that can be told. */
function starts(code: readonly Instruction[]): CharacterSet[] | undefined {
  const found: CharacterSet[] = [];
  const seen = new Set<number>();
  const open = [0];
  while (open.length > 0) {
    const at = open.pop()!;
    if (seen.has(at)) continue;
    seen.add(at);
    const instruction = code[at]!;
    if (instruction.op === 'split') open.push(instruction.first, instruction.second);
    else if (instruction.op === 'jump') open.push(instruction.to);
    else if (instruction.op === 'set') found.push(instruction.set);
    else if (instruction.op === 'run') {
      found.push(instruction.set);
      if (instruction.min === 0) open.push(at + 1);
    } else return undefined;
  }
  return found;
}

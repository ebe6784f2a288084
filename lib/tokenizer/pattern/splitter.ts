import type { Settings } from '../component.js';
import { findAll, type Match } from './matcher.js';
import { PatternError } from './parse.js';
import { compile } from './program.js';

/** Finds what a pattern matches in a text, from left to right. `undefined` is a place to let other work run. */
export type Finder = (text: string) => Iterable<Match | undefined>;

/** What becomes of the matches that a text is split at. */
export const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
export type Behavior = (typeof BEHAVIORS)[number];

/** Stretches between two pauses. */
const PAUSE = 1024;

/** A stretch of a text, and whether the pattern matched it. */
type Stretch = readonly [start: number, end: number, isMatch: boolean];

/**
 * The pattern of a component's settings, ready to be looked for.
 *
 * @throws ComponentError where it cannot be used
 */
export function readFinder(settings: Settings): Finder {
  const pattern = settings.pattern('pattern');
  if ('string' in pattern && pattern.string !== '') return (text) => occurrences(text, pattern.string);
  const regex = 'string' in pattern ? '' : pattern.regex;
  const naming = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      if (!(cause instanceof PatternError)) throw cause;
      throw settings.error(`the pattern ${JSON.stringify(regex).slice(0, 200)} ${cause.message}`);
    }
  };
  const program = naming(() => compile(regex));
  return function* (text) {
    const matches = findAll(program, text);
    for (let next = matches.next(); !next.done; next = naming(() => matches.next())) yield next.value;
  };
}

/** Where a string that is not empty stands in a text. */
export function* occurrences(text: string, wanted: string): Generator<Match> {
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
    yield [at, at + wanted.length];
  }
}

/**
 * The parts that a text is split into at matches.
 *
 * @param isInverted whether the pattern matches what is not to be split at
 */
export function* split(
  length: number,
  matches: Iterable<Match | undefined>,
  behavior: Behavior,
  isInverted = false,
): Generator<readonly [start: number, end: number] | undefined> {
  let open: Stretch | undefined;
  // Of the stretch in front: what is open may have grown by more than that.
  let wasMatch = false;
  let count = 0;
  for (const stretch of stretches(length, matches)) {
    if (++count % PAUSE === 0) yield undefined;
    if (stretch === undefined) {
      yield undefined;
      continue;
    }
    const [start, end, found] = stretch;
    const isMatch = found !== isInverted;
    if (open !== undefined && joins(behavior, wasMatch, isMatch)) open = [open[0], end, isMatch];
    else {
      if (open !== undefined && open[0] < open[1]) yield [open[0], open[1]];
      open = behavior === 'Removed' && isMatch ? undefined : [start, end, isMatch];
    }
    wasMatch = isMatch;
  }
  if (open !== undefined && open[0] < open[1]) yield [open[0], open[1]];
}

/** Whether a stretch becomes one part with the one in front of it. */
function joins(behavior: Behavior, wasMatch: boolean, isMatch: boolean): boolean {
  switch (behavior) {
    case 'MergedWithPrevious':
      return isMatch && !wasMatch;
    case 'MergedWithNext':
      return wasMatch && !isMatch;
    case 'Contiguous':
      return wasMatch === isMatch;
    default:
      return false;
  }
}

/** Everything from 0 to `length`: the matches, and what is between them. */
function* stretches(length: number, matches: Iterable<Match | undefined>): Generator<Stretch | undefined> {
  let from = 0;
  for (const match of matches) {
    if (match === undefined) {
      yield undefined;
      continue;
    }
    const [start, end] = match;
    if (from < start) yield [from, start, false];
    yield [start, end, true];
    from = end;
  }
  if (from < length) yield [from, length, false];
}

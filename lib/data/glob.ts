import { BertuneError } from '../errors.js';

/** What a part of a pattern takes of a path. */
type Part =
  /** One character that fits, at the cost of so many comparisons. */
  | { kind: 'one'; fits: (character: string) => boolean; cost: number }
  /** Any number of characters that fit. */
  | { kind: 'many'; fits: (character: string) => boolean }
  /** Nothing, or folders with their slashes. */
  | { kind: 'folders' };

/** The longest pattern, in characters; no path is longer. */
const MOST_PATTERN_CHARACTERS = 4096;

/** The longest `[...]`, in characters. */
const MOST_CLASS_CHARACTERS = 300;

/** Comparisons of all patterns with all paths: less than a second's work, and far more than any data set needs. */
const MOST_STEPS = 2 ** 25;

const inFolder = (character: string) => character !== '/';
const anywhere = () => true;

/**
 * The paths that patterns stand for: in a pattern `*` and `?` stay in a folder, `**` does not, and `[...]` is one of some
 * characters. Anything else stands for itself; the name of a folder for all that is in it. Memory is in proportion to the
 * lengths of patterns and paths, and time is limited, whatever the patterns: a card may hold any.
 *
 * @param patterns relative to the root, with slashes
 * @param paths in the order in which a pattern is to give them
 * @returns the paths of the first pattern, then those of the second, and so on, each path once
 * @throws BertuneError NOT_FOUND for a pattern without wildcards that stands for no path · INVALID_DATA for a pattern of
 *   more than 4,096 characters, or patterns that take more than some 33 million comparisons
 */
export function globPaths(patterns: readonly string[], paths: readonly string[]): string[] {
  const known = new Set(paths);
  const found = new Set<string>();
  const work = { steps: 0 };
  for (const pattern of patterns) {
    if (pattern.length > MOST_PATTERN_CHARACTERS) {
      throw new BertuneError(
        'INVALID_DATA',
        `Expected a pattern of files of at most ${MOST_PATTERN_CHARACTERS} characters but found one of ` +
          `${pattern.length}: ${pattern.slice(0, 60)}…`,
      );
    }
    const glob = pattern.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
    if (known.has(glob)) {
      found.add(glob);
      continue;
    }
    const isFolder = !/[*?[]/.test(glob);
    const parts = partsOf(isFolder ? `${glob}/**` : glob);
    const taken = paths.filter((path) => matches(parts, path, work));
    if (isFolder && taken.length === 0) {
      throw new BertuneError('NOT_FOUND', `Expected the file ${pattern} that the card lists but there is none`);
    }
    for (const path of taken) found.add(path);
  }
  return [...found];
}

function partsOf(glob: string): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < glob.length; ) {
    const token = /^(\*\*\/|\*\*|\*|\?|\[!?[^\]]+\]|.)/s.exec(glob.slice(at, at + MOST_CLASS_CHARACTERS))![0];
    at += token.length;
    if (token === '**/') parts.push({ kind: 'folders' });
    else if (token === '**') parts.push({ kind: 'many', fits: anywhere });
    else if (token === '*') parts.push({ kind: 'many', fits: inFolder });
    else if (token === '?') parts.push({ kind: 'one', fits: inFolder, cost: 1 });
    else if (token.length > 1) parts.push({ kind: 'one', fits: characterClass(token), cost: token.length });
    else parts.push({ kind: 'one', fits: (character) => character === token, cost: 1 });
  }
  return parts;
}

/** `[abc]`, `[a-z]`, `[!a-z]`. */
function characterClass(token: string): (character: string) => boolean {
  const negated = token[1] === '!' && token.length > 3;
  const inside = token.slice(negated ? 2 : 1, -1);
  const ranges = [...inside.matchAll(/(.)-(.)|(.)/gs)].map(([, from, to, single]) => [from ?? single!, to ?? single!]);
  return (character) => ranges.some(([from, to]) => character >= from! && character <= to!) !== negated;
}

/** Whether the parts take the path: all places where they may stand are followed at once. */
function matches(parts: readonly Part[], path: string, work: { steps: number }): boolean {
  let places: number[] = [];
  stand(parts, places, 0, true);
  for (let at = 0; at < path.length && places.length > 0; at++) {
    const character = path[at]!;
    const next: number[] = [];
    for (const place of places) {
      const part = parts[place];
      if (part === undefined) continue;
      work.steps += part.kind === 'one' ? part.cost : 1;
      // Inside a folder the part that takes folders cannot end: it ends behind a slash.
      if (part.kind === 'folders') stand(parts, next, place, character === '/');
      else if (part.fits(character)) stand(parts, next, part.kind === 'one' ? place + 1 : place, character === '/');
    }
    places = next;
    if (work.steps > MOST_STEPS) {
      throw new BertuneError(
        'INVALID_DATA',
        'Expected patterns of files that are quick to match, but these take too long: name the files, or use fewer *',
      );
    }
  }
  return places.at(-1) === parts.length;
}

/** Adds a place to those of rising order, with the places behind parts that may take nothing. */
function stand(parts: readonly Part[], places: number[], place: number, afterFolder: boolean): void {
  let at = place;
  while (at > (places.at(-1) ?? -1)) {
    places.push(at);
    const kind = parts[at]?.kind;
    if (kind !== 'many' && !(kind === 'folders' && afterFolder)) return;
    at += 1;
  }
}

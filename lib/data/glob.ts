/** What a part of a pattern takes of a path. */
type Part =
  /** One character that fits. */
  | { kind: 'one'; fits: (character: string) => boolean }
  /** Any number of characters that fit. */
  | { kind: 'many'; fits: (character: string) => boolean }
  /** Nothing, or folders with their slashes. */
  | { kind: 'folders' };

/** Words in braces multiply: as many patterns as this, and no more, are made of one. */
const MOST_ALTERNATIVES = 1000;

const inFolder = (character: string) => character !== '/';
const anywhere = () => true;

/**
 * A test for a pattern of paths: `*` and `?` stay in a folder, `**` does not; `[...]` is one of some characters, `{a,b}`
 * one of some words. Anything else stands for itself. It takes time in proportion to the lengths of pattern and path,
 * whatever the pattern: a card may hold any.
 *
 * @param glob relative to the root, with slashes; a folder stands for all that is in it
 * @returns whether a path fits; with words in braces that give more than a thousand patterns, none does
 */
export function globMatcher(glob: string): (path: string) => boolean {
  const clean = glob.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
  const patterns = alternatives(clean).map(partsOf);
  return (path) => patterns.some((parts) => matches(parts, path));
}

/** The patterns that the words in braces give. */
function alternatives(glob: string): string[] {
  let heads = [''];
  let at = 0;
  while (at < glob.length) {
    const open = glob.indexOf('{', at);
    const close = glob.indexOf('}', open);
    if (open < 0 || close < 0) break;
    const words = glob.slice(open + 1, close).split(',');
    if (heads.length * words.length > MOST_ALTERNATIVES) return [];
    const before = glob.slice(at, open);
    heads = heads.flatMap((head) => words.map((word) => head + before + word));
    at = close + 1;
  }
  const rest = glob.slice(at);
  return heads.map((head) => head + rest);
}

function partsOf(glob: string): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < glob.length; ) {
    const token = /^(\*\*\/|\*\*|\*|\?|\[!?[^\]]+\]|.)/s.exec(glob.slice(at, at + 300))![0];
    at += token.length;
    if (token === '**/') parts.push({ kind: 'folders' });
    else if (token === '**') parts.push({ kind: 'many', fits: anywhere });
    else if (token === '*') parts.push({ kind: 'many', fits: inFolder });
    else if (token === '?') parts.push({ kind: 'one', fits: inFolder });
    else if (token.length > 1) parts.push({ kind: 'one', fits: characterClass(token) });
    else parts.push({ kind: 'one', fits: (character) => character === token });
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

/** Whether the parts take the path, or a folder that it is in: all places where they may stand are followed at once. */
function matches(parts: readonly Part[], path: string): boolean {
  let places = new Uint8Array(parts.length + 1);
  places[0] = 1;
  skip(parts, places);
  for (let at = 0; at < path.length; at++) {
    const character = path[at]!;
    if (places[parts.length] === 1 && character === '/') return true;
    const next = new Uint8Array(parts.length + 1);
    parts.forEach((part, i) => {
      if (places[i] !== 1) return;
      if (part.kind === 'one' && part.fits(character)) next[i + 1] = 1;
      else if (part.kind === 'many' && part.fits(character)) next[i] = 1;
      else if (part.kind === 'folders') next[i] = 1;
    });
    // Inside a folder the part that takes folders cannot end: it ends behind a slash.
    skip(parts, next, character === '/');
    places = next;
  }
  return places[parts.length] === 1;
}

/** Goes on behind parts that may take nothing. */
function skip(parts: readonly Part[], places: Uint8Array, afterFolder = true): void {
  parts.forEach((part, i) => {
    if (places[i] === 1 && (part.kind === 'many' || (part.kind === 'folders' && afterFolder))) places[i + 1] = 1;
  });
}

import fc from 'fast-check';
import type { Random } from './random.js';

/*
 * JSON files that are well formed but for one to three things. A document is kept as a tree in which an object may hold
 * a key twice and a value may be any text, so that what JSON.stringify never writes can be written.
 */

/** A value: its text as it is, or the parts of an array or an object. */
type Node = string | { kind: 'array'; items: Node[] } | { kind: 'object'; entries: [string, Node][] };

/** Values that readers trip over. */
const NASTY: readonly string[] = [
  ...['0', '-0', '-1', '1.5', '1e400', '-1e400', '1e-400', '2147483647', '2147483648', '4294967296'],
  ...['9007199254740991', '9007199254740993', '9223372036854775807', '18446744073709551615', '1e308', '123456789012'],
  ...[
    'null',
    'true',
    'false',
    '""',
    '" "',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00x"',
    '"\\ufeff"',
    '"\\u202e\\u001b[31m"',
  ],
  ...['[]', '{}', '[[]]', '[null]', '{"":0}', '{"toString":1}', '{"length":1}', '{"__proto__":{"x":1}}'],
  ...['"__proto__"', '"constructor"', '"../../../etc/passwd"', '"/etc/passwd"', '"C:\\\\x"', '"a\\u0000b"', '"NaN"'],
  ...['NaN', 'Infinity', 'undefined', '01', '+1', '.5', "'x'", '"\t"', '"\\x"', '"\\u12"', ''],
  JSON.stringify('x'.repeat(5000)),
  JSON.stringify('\u001b]0;title\u0007'.repeat(500)),
  `[${'0,'.repeat(3000)}0]`,
  `${'['.repeat(600)}${']'.repeat(600)}`,
  `${'{"a":'.repeat(600)}1${'}'.repeat(600)}`,
];

/** Nesting that a reader which calls itself does not survive. */
const DEEP: readonly string[] = [
  `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
  `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
  '['.repeat(100_000),
];

const NASTY_KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'length',
  '',
  '0',
  '-1',
  '\u0000',
  '\ufeff',
];

/** Any JSON at all, for what nobody thought of. */
const ANY: readonly string[] = fc
  .sample(fc.jsonValue({ maxDepth: 3 }), { seed: 20, numRuns: 400 })
  .map((value) => JSON.stringify(value));

/** A document that faults can be put into. */
export class JsonDocument {
  readonly #root: Node;

  constructor(value: unknown) {
    this.#root = treeOf(value);
  }

  /** The text with one to three faults in it. */
  mutated(random: Random): { text: string; what: string } {
    const root = copy(this.#root);
    const holder: { kind: 'array'; items: Node[] } = { kind: 'array', items: [root] };
    const done: string[] = [];
    for (let times = 1 + random.below(3); times > 0; times--) done.push(mutate(holder, random));
    const text = textOf(holder.items[0]!);
    if (!random.chance(0.04)) return { text, what: done.join(', ') };
    const [what, dressed] = random.pick<[string, string]>([
      ['a byte order mark', `\ufeff${text}`],
      ['a NUL behind', `${text}\0`],
      ['twice', text + text],
      ['a comment', `/* */${text}`],
      ['blank', ' \n\t '],
    ]);
    return { text: dressed, what: [...done, what].join(', ') };
  }
}

function mutate(root: { kind: 'array'; items: Node[] }, random: Random): string {
  const places = collect(root);
  const place = random.pick(places);
  switch (random.below(8)) {
    case 0:
      place.remove();
      return `without ${place.name}`;
    case 1:
      place.repeat();
      return `${place.name} twice`;
    case 2: {
      const other = random.pick(places);
      place.set(copy(other.get()));
      return `${place.name} = that of ${other.name}`;
    }
    case 3: {
      const key = random.pick(NASTY_KEYS);
      place.add(key, random.pick(NASTY));
      return `a key ${JSON.stringify(key)} beside ${place.name}`;
    }
    case 4: {
      const value = random.pick(ANY);
      place.set(value);
      return `${place.name} = ${value.slice(0, 40)}`;
    }
    default: {
      const value = random.chance(0.001) ? random.pick(DEEP) : random.pick(NASTY);
      place.set(value);
      return `${place.name} = ${value.slice(0, 40)}`;
    }
  }
}

/** One value of a document, where it stands. */
interface Place {
  name: string;
  get(): Node;
  set(node: Node): void;
  remove(): void;
  repeat(): void;
  add(key: string, node: Node): void;
}

function collect(node: Node, name = '$', places: Place[] = []): Place[] {
  if (typeof node === 'string') return places;
  if (node.kind === 'array') {
    const { items } = node;
    items.forEach((item, i) => {
      places.push({
        name: `${name}[${i}]`,
        get: () => items[i] ?? 'null',
        set: (value) => items.splice(i, 1, value),
        remove: () => items.length > 1 && items.splice(i, 1),
        repeat: () => items.splice(i, 0, copy(items[i] ?? 'null')),
        add: (_, value) => items.splice(i, 0, value),
      });
      collect(item, `${name}[${i}]`, places);
    });
    return places;
  }
  const { entries } = node;
  entries.forEach(([key, value], i) => {
    places.push({
      name: `${name}.${key}`,
      get: () => entries[i]?.[1] ?? 'null',
      set: (next) => entries.splice(i, 1, [key, next]),
      remove: () => entries.splice(i, 1),
      repeat: () => entries.push([key, copy(entries[i]?.[1] ?? 'null')]),
      add: (other, next) => entries.splice(i, 0, [other, next]),
    });
    collect(value, `${name}.${key}`, places);
  });
  return places;
}

function treeOf(value: unknown): Node {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(treeOf) };
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return { kind: 'object', entries: Object.entries(value).map(([key, item]) => [key, treeOf(item)]) };
}

function copy(node: Node): Node {
  if (typeof node === 'string') return node;
  if (node.kind === 'array') return { kind: 'array', items: node.items.map(copy) };
  return { kind: 'object', entries: node.entries.map(([key, value]) => [key, copy(value)]) };
}

function textOf(node: Node): string {
  if (typeof node === 'string') return node;
  if (node.kind === 'array') return `[${node.items.map(textOf).join(',')}]`;
  return `{${node.entries.map(([key, value]) => `${JSON.stringify(key)}:${textOf(value)}`).join(',')}}`;
}

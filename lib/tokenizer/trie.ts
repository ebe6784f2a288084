/** Strings with numbers, to be looked up by what a text starts with at some place. Its nodes are numbered from 0, the root. */
export class Trie {
  /** The longest string, in UTF-16 units. */
  longest = 0;
  private readonly values: number[] = [-1];
  /** An open hash table from a node and a unit to the node behind: -1 where a slot is free. */
  private parents = new Int32Array(64).fill(-1);
  private units = new Uint16Array(64);
  private children = new Int32Array(64);

  /** @param entries each string with its number, at least 0; of two equal strings the later counts, an empty one does not */
  constructor(entries: Iterable<readonly [string, number]>) {
    for (const [text, value] of entries) this.add(text, value);
  }

  /** The node that a unit leads to from another, or -1. */
  step(node: number, unit: number): number {
    const mask = this.parents.length - 1;
    for (let slot = hash(node, unit) & mask; this.parents[slot] !== -1; slot = (slot + 1) & mask) {
      if (this.parents[slot] === node && this.units[slot] === unit) return this.children[slot]!;
    }
    return -1;
  }

  /** The number of the string that ends at a node, or -1. */
  value(node: number): number {
    return this.values[node]!;
  }

  private add(text: string, value: number): void {
    if (text === '') return;
    let node = 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      const next = this.step(node, unit);
      node = next === -1 ? this.insert(node, unit) : next;
    }
    this.values[node] = value;
    this.longest = Math.max(this.longest, text.length);
  }

  private insert(parent: number, unit: number): number {
    const child = this.values.length;
    this.values.push(-1);
    if (2 * child > this.parents.length) this.grow();
    this.put(parent, unit, child);
    return child;
  }

  private put(parent: number, unit: number, child: number): void {
    const mask = this.parents.length - 1;
    let slot = hash(parent, unit) & mask;
    while (this.parents[slot] !== -1) slot = (slot + 1) & mask;
    this.parents[slot] = parent;
    this.units[slot] = unit;
    this.children[slot] = child;
  }

  private grow(): void {
    const { parents, units, children } = this;
    this.parents = new Int32Array(2 * parents.length).fill(-1);
    this.units = new Uint16Array(this.parents.length);
    this.children = new Int32Array(this.parents.length);
    for (let slot = 0; slot < parents.length; slot++) {
      if (parents[slot] !== -1) this.put(parents[slot]!, units[slot]!, children[slot]!);
    }
  }
}

function hash(node: number, unit: number): number {
  const mixed = Math.imul(node, 0x9e3779b1) ^ Math.imul(unit + 1, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

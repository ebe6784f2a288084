import { BertuneError } from '../errors.js';
import type { Columns } from './columns.js';

/** The label of a row that has none. */
const NONE = -1;

/** The rows of a split as they are read, with their labels as written. */
export class Rows {
  readonly texts: string[] = [];
  /** The second text of each row, where rows are pairs. */
  readonly pairs: string[] = [];
  /** The distinct labels, in order of appearance. */
  readonly names: string[] = [];
  /** Where each of `names` appeared first, in words. */
  readonly places: string[] = [];
  /** The files the rows come from. */
  readonly sources: string[] = [];
  /** The columns of the files; undefined before the first, and of rows in memory. */
  columns: Columns | undefined;
  /** The classes that the first file itself names, in the order of their indices. */
  classNames: readonly string[] | undefined;
  /** Classes of rows that count as having none, and where the first of them is. */
  private unlabelled = 0;
  private firstUnlabelled = '';
  private indices = new Int32Array(1024);
  private readonly known = new Map<string, number>();
  /** Of the present file: how many rows and names came before it. */
  private start = { rows: 0, names: 0 };

  /** @param unit what a row's place is counted in */
  constructor(private readonly unit: 'line' | 'row' | 'index' = 'line') {}

  /** Where the rows come from, for messages. */
  get source(): string {
    return this.sources.join(', ');
  }

  /** The label of each row, an index into `names`; −1 for a row without one (N). */
  get labels(): Int32Array {
    return this.indices.subarray(0, this.texts.length);
  }

  /** Whether no row has a label: what is written is nothing, or −1, which Hugging Face puts in its place. */
  get isUnlabelled(): boolean {
    return this.names.every((name) => name === '-1');
  }

  /** Starts a file. What is added next comes from it. */
  begin(source: string): void {
    this.sources.push(source);
    this.start = { rows: this.texts.length, names: this.names.length };
  }

  /**
   * Appends a row. Spaces around the label do not count.
   *
   * @param label null or nothing but spaces: none
   * @param place line, row or index, for messages
   * @param pair the second text, in a file of pairs
   */
  add(text: string, label: string | null, place: number, pair?: string): void {
    const name = label?.trim() ?? '';
    const row = this.texts.push(text) - 1;
    if (pair !== undefined) this.pairs.push(pair);
    if (row === this.indices.length) {
      const larger = new Int32Array(2 * row);
      larger.set(this.indices);
      this.indices = larger;
    }
    if (name === '') {
      if (this.unlabelled++ === 0) this.firstUnlabelled = this.placeOf(place);
      this.indices[row] = NONE;
      return;
    }
    let index = this.known.get(name);
    if (index === undefined) {
      index = this.names.push(name) - 1;
      this.known.set(name, index);
      this.places.push(this.placeOf(place));
    }
    this.indices[row] = index;
  }

  /**
   * Ends a file.
   *
   * @throws BertuneError INVALID_DATA: no rows; some labelled and some not; names after files of integers, or the reverse
   */
  end(): void {
    const source = this.sources.at(-1)!;
    if (this.texts.length === this.start.rows) {
      throw new BertuneError('INVALID_DATA', `Expected at least one row in ${source} but found none`);
    }
    if (this.unlabelled > 0 && this.unlabelled < this.texts.length) {
      throw new BertuneError('INVALID_DATA', `Expected a label in ${this.firstUnlabelled}, but found none`);
    }
    const [before, added] = [this.names.slice(0, this.start.names), this.names.slice(this.start.names)];
    if (before.length === 0 || added.length === 0) return;
    for (const [first, second] of [
      ['integers', 'names'],
      ['names', 'integers'],
    ] as const) {
      if (before.every(KINDS[first]) && added.every(KINDS[second])) {
        const [name, place] = [this.names[this.start.names], this.places[this.start.names]];
        throw new BertuneError(
          'INVALID_DATA',
          `Expected ${first} as labels, as in ${this.sources[0]}, but found ${JSON.stringify(name)} in ${place}`,
        );
      }
    }
  }

  private placeOf(place: number): string {
    return `${this.sources.at(-1)}, ${this.unit} ${place}`;
  }
}

/** Whether a label is an integer. */
export function isInteger(label: string): boolean {
  return /^-?\d{1,15}$/.test(label);
}

const KINDS = { integers: isInteger, names: (label: string) => !isInteger(label) };

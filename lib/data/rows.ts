import { BertuneError } from '../errors.js';
import { areNumbers, listLabels } from '../labels.js';
import type { Columns } from './columns.js';

/** The label of a row that has none. */
const NONE = -1;

/** The rows of a split as they are read, with their labels as written. */
export class Rows {
  readonly texts: string[] = [];
  /** The second text of each row, where rows are pairs. */
  readonly pairs: string[] = [];
  /** The distinct labels of each file, in order of appearance; by name where the file's integers have names. */
  readonly names: string[] = [];
  /** Whether each of `names` is an integer without a name, in a file of nothing else. */
  readonly areIntegers: boolean[] = [];
  /** Where each of `names` appeared first, in words. */
  readonly places: string[] = [];
  /** The files the rows come from. */
  readonly sources: string[] = [];
  /** The columns of the files; undefined before the first, and of rows in memory. */
  columns: Columns | undefined;
  /** The classes that the present file itself names, in the order of their indices. */
  classNames: readonly string[] | undefined;
  /** The classes that count: those of the first file that has any, its own or the card's. */
  classes: readonly string[] | undefined;
  /** How labels were read where that is not plain, in sentences. */
  readonly notes: string[] = [];
  /** Classes of rows that count as having none, and where the first of them is. */
  private unlabelled = 0;
  private firstUnlabelled = '';
  private indices = new Int32Array(1024);
  /** Of the present file: labels as written, with their index. */
  private readonly known = new Map<string, number>();
  /** Of the present file: how many rows and names came before it. */
  private start = { rows: 0, names: 0 };

  /** What places in the present file are counted in. */
  private unit = 'line';

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
    return this.names.every((name, i) => name === '-1' && this.areIntegers[i]);
  }

  /** Starts a file. What is added next comes from it, at places counted in `unit`. */
  begin(source: string, unit: 'line' | 'row' | 'index'): void {
    this.sources.push(source);
    this.unit = unit;
    this.start = { rows: this.texts.length, names: this.names.length };
    this.known.clear();
    this.classNames = undefined;
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
   * Ends a file: its integers become the names that they count, where it has any.
   *
   * @param card the classes that the data set's card names, which go before the file's own, as in `datasets`
   * @throws BertuneError INVALID_DATA: no rows; some labelled and some not; an integer that counts no class; names after
   *   files of integers, or the reverse
   */
  end(card?: readonly string[]): void {
    const source = this.sources.at(-1)!;
    if (this.texts.length === this.start.rows) {
      throw new BertuneError('INVALID_DATA', `Expected at least one row in ${source} but found none`);
    }
    if (this.unlabelled > 0 && this.unlabelled < this.texts.length) {
      throw new BertuneError('INVALID_DATA', `Expected a label in ${this.firstUnlabelled}, but found none`);
    }
    const written = this.names.slice(this.start.names);
    const integers = written.every(isInteger);
    const classes = this.chooseClasses(card);
    this.classes ??= classes;
    const counted = integers && classes && !areNumbers(classes) && written.some((label) => label !== '-1');
    if (counted) this.nameIntegers(written, classes);
    else this.expectSameKind(written);
    for (const _ of written) this.areIntegers.push(integers && !counted);
  }

  /** Classes that are only numbered are as good as none. */
  private chooseClasses(card: readonly string[] | undefined): readonly string[] | undefined {
    const own = this.classNames;
    if (card === undefined || own === undefined || areNumbers(own)) return card ?? own;
    if (areNumbers(card)) return own;
    const isSame = own.length === card.length && own.every((name, i) => name === card[i]);
    if (!isSame && this.notes.length === 0) {
      this.notes.push(
        `${this.sources.at(-1)} calls its classes ${listLabels(own)}, the card of the data set ${listLabels(card)}; the ` +
          'card is followed, as in datasets.',
      );
    }
    return card;
  }

  private nameIntegers(written: readonly string[], classes: readonly string[]): void {
    for (const [i, label] of written.entries()) {
      const index = this.start.names + i;
      const name = classes[Number(label)];
      if (name === undefined) {
        const expected = `expected an index in 0..${classes.length - 1} of ${listLabels(classes)}`;
        throw new BertuneError('INVALID_DATA', `Unknown label "${label}" in ${this.places[index]}: ${expected}`);
      }
      this.names[index] = name;
    }
  }

  /** Files that write their labels themselves do so in one way. */
  private expectSameKind(written: readonly string[]): void {
    const before = new Set(this.names.slice(0, this.start.names));
    const added = written.filter((label) => !before.has(label));
    if (before.size === 0 || added.length === 0) return;
    for (const [first, second] of [
      ['integers', 'names'],
      ['names', 'integers'],
    ] as const) {
      if ([...before].every(KINDS[first]) && added.every(KINDS[second])) {
        const index = this.start.names + written.indexOf(added[0]!);
        throw new BertuneError(
          'INVALID_DATA',
          `Expected ${first} as labels, as in ${this.sources[0]}, but found ${JSON.stringify(added[0])} in ` +
            `${this.places[index]}`,
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

import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { areNumbers, listLabels } from '../tasks/labels.js';
import type { Columns } from './records.js';

/** What to do about rows that cannot be used. */
export const skippingAdvice = () => `leave such rows out with ${option('skipInvalid', true)}`;

/** The label of a row that has none. */
const NONE = -1;

/** A row's label as it is written: a name, a list of them, or null for none. */
export type WrittenLabel = string | readonly string[] | null;

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
  /** Whether rows have lists of labels; undefined before the first label. */
  areLists: boolean | undefined;
  /** The distinct lists of labels of each file, in order of appearance: indices into `names`. */
  readonly lists: Int32Array[] = [];
  /** Where each of `lists` appeared first, in words. */
  readonly listPlaces: string[] = [];
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
  /** By the reason: how many rows were left out, and where the first of them is. */
  private readonly skipped = new Map<string, { count: number; first: string }>();
  /** Whether a note says that a file and the card name the classes differently. */
  private hasOtherNames = false;
  private indices = new Int32Array(1024);
  /** Of the present file: labels as written, with their index. */
  private readonly known = new Map<string, number>();
  /** Of the present file: lists, as indices with commas between them, with their index. */
  private readonly knownLists = new Map<string, number>();
  /** Of the present file: how many rows and names came before it. */
  private start = { rows: 0, names: 0 };

  /** What places in the present file are counted in. */
  private unit = 'line';

  /** Where the rows come from, for messages. */
  get source(): string {
    return this.sources.join(', ');
  }

  /** The label of each row, an index into `names`, or into `lists` where labels are lists; −1 for a row without one (N). */
  get labels(): Int32Array {
    return this.indices.subarray(0, this.texts.length);
  }

  /** Whether no row has a label: what is written is nothing, or −1, which Hugging Face puts in its place. */
  get isUnlabelled(): boolean {
    if (this.unlabelled === this.texts.length) return true;
    return this.names.every((name, i) => name === '-1' && this.areIntegers[i]);
  }

  /** Starts a file. What is added next comes from it, at places counted in `unit`. */
  begin(source: string, unit: 'line' | 'row' | 'index'): void {
    this.sources.push(source);
    this.unit = unit;
    this.start = { rows: this.texts.length, names: this.names.length };
    this.known.clear();
    this.knownLists.clear();
    this.classNames = undefined;
  }

  /**
   * Appends a row. Spaces around labels do not count.
   *
   * @param label null or nothing but spaces: none; an empty list is a label like any other
   * @param place line, row or index, for messages
   * @param pair the second text, in a file of pairs
   */
  add(text: string, label: WrittenLabel, place: number, pair?: string): void {
    const row = this.texts.push(text) - 1;
    if (pair !== undefined) this.pairs.push(pair);
    if (row === this.indices.length) {
      const larger = new Int32Array(2 * row);
      larger.set(this.indices);
      this.indices = larger;
    }
    if (label === null || (typeof label === 'string' && label.trim() === '')) {
      if (this.unlabelled++ === 0) this.firstUnlabelled = this.placeOf(place);
      this.indices[row] = NONE;
      return;
    }
    this.areLists ??= typeof label !== 'string';
    this.indices[row] = typeof label === 'string' ? this.indexOf(label, place) : this.listIndexOf(label, place);
  }

  /** The index of a label among the names, to which it is added where it is new. */
  indexOf(label: string, place: number): number {
    const name = label.trim();
    let index = this.known.get(name);
    if (index === undefined) {
      index = this.names.push(name) - 1;
      this.known.set(name, index);
      this.places.push(this.placeOf(place));
    }
    return index;
  }

  private listIndexOf(labels: readonly string[], place: number): number {
    const list = labels.map((label) => this.indexOf(label, place));
    const key = list.join();
    let index = this.knownLists.get(key);
    if (index === undefined) {
      index = this.lists.push(Int32Array.from(list)) - 1;
      this.knownLists.set(key, index);
      this.listPlaces.push(this.placeOf(place));
    }
    return index;
  }

  /** Counts a row that is left out, for the reason that is given. */
  skip(reason: string, place: number): void {
    const known = this.skipped.get(reason);
    if (known !== undefined) known.count++;
    else this.skipped.set(reason, { count: 1, first: this.placeOf(place) });
  }

  /** Ends the split: adds a note on the rows that were left out. */
  finish(): void {
    if (this.skipped.size === 0) return;
    const { count, reasons } = this.skippedRows();
    this.notes.push(`skipped ${count} of ${count + this.texts.length} rows: ${reasons}`);
  }

  private skippedRows(): { count: number; reasons: string } {
    const all = [...this.skipped];
    return {
      count: all.reduce((sum, [, { count }]) => sum + count, 0),
      reasons: all.map(([reason, { count, first }]) => `${count} ${reason} (first: ${first})`).join(', '),
    };
  }

  /**
   * Ends a file: its integers become the names that they count, where it has any.
   *
   * @param card the classes that the data set's card names, which go before the file's own, as in `datasets`
   * @param options.skipInvalid whether rows without a label are left out where others have one
   * @param options.asWritten whether labels are names or values as they are written, and integers count no classes.
   * Defaults to   false
   * @throws BertuneError INVALID_DATA: no rows; some labeled and some not; an integer that counts no class; names after
   *   files of integers, or the reverse
   */
  end(card?: readonly string[], { skipInvalid = false, asWritten = false } = {}): void {
    const source = this.sources.at(-1)!;
    if (this.texts.length === this.start.rows) {
      const { count, reasons } = this.skippedRows();
      const found = count === 0 ? 'found none' : `all ${count} rows are skipped: ${reasons}`;
      throw new BertuneError('INVALID_DATA', `Expected at least one row in ${source} but ${found}`);
    }
    if (this.unlabelled > 0 && this.unlabelled < this.texts.length) {
      if (skipInvalid) this.dropUnlabelled();
      else {
        const missing = `${this.unlabelled} of ${this.texts.length} rows have none`;
        throw new BertuneError(
          'INVALID_DATA',
          `Expected a label in ${this.firstUnlabelled}, but found none (${missing}); ${skippingAdvice()}`,
        );
      }
    }
    if (!asWritten) this.shortenNumbers();
    const written = this.names.slice(this.start.names);
    const integers = written.every(isInteger);
    const classes = this.chooseClasses(card);
    this.classes ??= classes;
    const counted =
      !asWritten && integers && classes && !areNumbers(classes) && written.some((label) => label !== '-1');
    if (counted) this.nameIntegers(written, classes);
    else if (!asWritten) this.expectSameKind(written);
    for (const _ of written) this.areIntegers.push(integers && !counted && !asWritten);
  }

  private dropUnlabelled(): void {
    let kept = 0;
    for (let row = 0; row < this.texts.length; row++) {
      if (this.indices[row] === NONE) continue;
      this.texts[kept] = this.texts[row]!;
      if (this.pairs.length > 0) this.pairs[kept] = this.pairs[row]!;
      this.indices[kept++] = this.indices[row]!;
    }
    this.texts.length = kept;
    if (this.pairs.length > 0) this.pairs.length = kept;
    this.skipped.set('without a label', { count: this.unlabelled, first: this.firstUnlabelled });
    this.unlabelled = 0;
  }

  /**
   * Where all labels of a file are numbers, `5.0` is `5`, as it is in JSON and in a table with gaps. Beside names it is so
   * where `5` occurs too.
   */
  private shortenNumbers(): void {
    const written = this.names.slice(this.start.names);
    const short = (label: string) => label.replace(/\.0+$/, '').replace(/^-0$/, '0');
    const numbers = written.filter(isNumber);
    const isWhole = numbers.length === written.length;
    const known = new Set(written);
    if (numbers.every((label) => SHORT_NUMBER.test(label))) {
      for (const [i, label] of written.entries()) {
        if (isNumber(label) && (isWhole || known.has(short(label)))) this.names[this.start.names + i] = short(label);
      }
    }
    const padded = written.find((label) => /^0\d+$/.test(label) && written.includes(label.replace(/^0+(?=\d)/, '')));
    if (padded === undefined) return;
    const plain = padded.replace(/^0+(?=\d)/, '');
    this.notes.push(`The labels "${padded}" and "${plain}" of ${this.sources.at(-1)} are two classes.`);
  }

  /** Classes that are only numbered are as good as none. */
  private chooseClasses(card: readonly string[] | undefined): readonly string[] | undefined {
    const own = this.classNames;
    if (card === undefined || own === undefined || areNumbers(own)) return card ?? own;
    if (areNumbers(card)) return own;
    const isSame = own.length === card.length && own.every((name, i) => name === card[i]);
    if (!isSame && !this.hasOtherNames) {
      this.hasOtherNames = true;
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

/** A number without zeros that could as well be missing, but for those of a whole number: `1.10` may be a version. */
const SHORT_NUMBER = /^-?\d{1,15}(\.0+|\.\d*[1-9])?$/;

/** Whether a label is a number. */
export function isNumber(label: string): boolean {
  return /^-?\d{1,15}(\.\d+)?$/.test(label);
}

/** Whether a label is a number in any of the ways in which one is written. */
export function isReal(label: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(label);
}

const KINDS = { integers: isInteger, names: (label: string) => !isInteger(label) };

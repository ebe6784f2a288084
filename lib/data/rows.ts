/** Rows as they are read, with their labels as written. */
export class Rows {
  readonly texts: string[] = [];
  /** The distinct labels, in order of appearance. */
  readonly names: string[] = [];
  /** The line on which each of `names` appeared first, from 1; or, of rows in memory, the index, from 0. */
  readonly firstLines: number[] = [];
  /** The label of each row, an index into `names`. */
  readonly labels: number[] = [];
  private readonly known = new Map<string, number>();

  /**
   * @param source where the rows come from, for messages
   * @param unit what a row's place is counted in
   */
  constructor(
    readonly source: string,
    readonly unit: 'line' | 'index' = 'line',
  ) {}

  /** Appends a row. Spaces around the label do not count. */
  add(text: string, label: string, line: number): void {
    const name = label.trim();
    let index = this.known.get(name);
    if (index === undefined) {
      index = this.names.push(name) - 1;
      this.known.set(name, index);
      this.firstLines.push(line);
    }
    this.texts.push(text);
    this.labels.push(index);
  }
}

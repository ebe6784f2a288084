/** Lines of a table that appear as they are known: each column has its width from the start. */
export class Lines {
  /** @param columns [title, width]; a negative width stands left */
  constructor(columns) {
    this.columns = columns;
  }

  #line(cells) {
    return this.columns
      .map(([, width], i) => (width < 0 ? cells[i].padEnd(-width) : cells[i].padStart(width)))
      .join(' ')
      .trimEnd();
  }

  printHead() {
    console.log(this.#line(this.columns.map(([title]) => title)));
  }

  print(cells) {
    console.log(this.#line(cells));
  }
}

/** Three significant digits without an exponent; '-' for nothing. */
export function digits(value) {
  if (value === undefined || value === null || !Number.isFinite(value)) return '-';
  if (value === 0) return '0';
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(places, 6));
}

export const MiB = (bytes) => (bytes / 2 ** 20).toFixed(1);

/** Prints a record's fields a line each. */
export function printRecord(record) {
  const width = Math.max(...Object.keys(record).map((name) => name.length));
  for (const [name, value] of Object.entries(record)) console.log(`${name.padEnd(width)}  ${value}`);
}

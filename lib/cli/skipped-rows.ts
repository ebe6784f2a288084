import type { InvalidRow } from '../data/records.js';

/** Counts the rows that are left out, by what is wrong with them. */
export class SkippedRows {
  readonly #byReason = new Map<string, { count: number; first: InvalidRow }>();

  add(row: InvalidRow): void {
    const known = this.#byReason.get(row.reason);
    if (known) known.count += 1;
    else this.#byReason.set(row.reason, { count: 1, first: row });
  }

  /** What to say of them, a sentence a reason. */
  get notes(): string[] {
    return [...this.#byReason].map(
      ([reason, { count, first }]) => `left out ${counted(count, 'row')} ${reason}; the first: ${first.error.message}`,
    );
  }
}

/** A number with its word: `1 row`, `2 rows`. */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

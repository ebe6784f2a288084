import { BertuneError } from '../errors.js';
import { parseJsonRow } from '../files/json.js';
import { type Columns, chooseColumns } from './columns.js';
import type { Rows } from './rows.js';
import type { ReadOptions } from './types.js';

/** Makes rows of a file's JSON objects. The first object decides which columns are used. */
export class JsonRows {
  private columns: Columns | undefined;

  constructor(
    private readonly path: string,
    private readonly rows: Rows,
    private readonly options: ReadOptions,
  ) {}

  /**
   * Adds an object. Texts are strings; labels are strings, integers, booleans, or null for none. Columns that are not used
   * may hold what Python's json writes besides.
   *
   * @param content the JSON
   * @param line where it starts
   */
  add(content: string, line: number): void {
    const object = this.parse(content, line);
    this.columns ??= chooseColumns(this.path, Object.keys(object), this.rows, this.options);
    const { text, pair, label } = this.columns;
    this.rows.add(
      this.readText(line, text, object[text]),
      label === undefined ? null : this.readLabel(line, label, object[label]),
      line,
      pair === undefined ? undefined : this.readText(line, pair, object[pair]),
    );
  }

  /** The error for something in the file that is not what was expected. */
  invalid(line: number, expected: string, found: string, cause?: unknown): BertuneError {
    return new BertuneError('INVALID_DATA', `Expected ${expected} in ${this.path}, line ${line}, but found ${found}`, {
      cause,
    });
  }

  private parse(content: string, line: number): Record<string, unknown> {
    let value: unknown;
    try {
      value = parseJsonRow(content);
    } catch (error) {
      throw this.invalid(line, 'a JSON object', `broken JSON (${(error as Error).message})`, error);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.invalid(line, 'a JSON object', content.slice(0, 60));
    }
    return value as Record<string, unknown>;
  }

  private readText(line: number, column: string, value: unknown): string {
    if (typeof value === 'string' && value.isWellFormed()) return value;
    throw this.invalid(line, `a string for ${column}`, show(value));
  }

  private readLabel(line: number, column: string, value: unknown): string | null {
    if (value === null) return null;
    const label = Number.isSafeInteger(value) || typeof value === 'boolean' ? String(value) : value;
    if (typeof label === 'string' && label.trim() !== '' && label.isWellFormed()) return label;
    throw this.invalid(line, `a name or an integer for ${column}`, show(value));
  }
}

function show(value: unknown): string {
  if (typeof value === 'string' && !value.isWellFormed()) return 'half of a surrogate pair, which is no character';
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) return 'a number that is not finite';
  return JSON.stringify(value)?.slice(0, 60) ?? 'nothing';
}

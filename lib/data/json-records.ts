import { BertuneError } from '../errors.js';
import { parseJsonRow } from '../files/json.js';
import { nestedPaths, valueAt } from './nested.js';
import type { DataRecord, RecordOptions } from './records.js';

/** Makes records of a file's JSON objects. The first object says what the columns are. */
export class JsonRecords {
  private records: DataRecord[] = [];
  private hasColumns = false;

  constructor(
    private readonly path: string,
    private readonly options: RecordOptions,
  ) {}

  /**
   * Adds an object. Numbers may be what Python's json writes besides JSON's.
   *
   * @param content the JSON
   * @param line where it starts
   */
  add(content: string, line: number): void {
    const object = this.parse(content, line);
    if (object === undefined) return;
    if (!this.hasColumns) {
      this.hasColumns = true;
      this.options.columns?.({ names: Object.keys(object), nested: nestedPaths(object) });
    }
    this.records.push(new JsonRecord(line, object, content));
  }

  /** The records since the last time. */
  take(): readonly DataRecord[] {
    const taken = this.records;
    this.records = [];
    return taken;
  }

  /** The error for something in the file that is not what was expected. */
  invalid(line: number, expected: string, found: string, cause?: unknown): BertuneError {
    return new BertuneError('INVALID_DATA', `Expected ${expected} in ${this.path}, line ${line}, but found ${found}`, {
      cause,
    });
  }

  /** @returns undefined where it is none, and such rows are left out */
  private parse(content: string, line: number): Record<string, unknown> | undefined {
    let value: unknown;
    try {
      value = parseJsonRow(content);
    } catch (error) {
      return this.refuse(line, `broken JSON (${(error as Error).message})`, error);
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    return this.refuse(line, content.slice(0, 60));
  }

  private refuse(line: number, found: string, cause?: unknown): undefined {
    const error = this.invalid(line, 'a JSON object', found, cause);
    if (this.options.onInvalid === undefined) throw error;
    this.options.onInvalid({ reason: 'without a JSON object', place: line, error });
  }
}

class JsonRecord implements DataRecord {
  constructor(
    readonly place: number,
    private readonly object: Readonly<Record<string, unknown>>,
    readonly json: string,
  ) {}

  get columns(): readonly string[] {
    return Object.keys(this.object);
  }

  get values(): readonly unknown[] {
    return Object.values(this.object);
  }

  get(column: string): unknown {
    return valueAt(this.object, column);
  }
}

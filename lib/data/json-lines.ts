import { BertuneError } from '../errors.js';
import { isObject, parseJsonRow } from '../files/json.js';
import { TimeSlice } from '../time-slice.js';
import { expectRow } from './limits.js';
import { type DataRecord, nestedPaths, type RecordOptions, valueAt } from './records.js';
import { readTextFile } from './text-file.js';

/**
 * Reads a file with one JSON object per line (.jsonl, .ndjson). Empty lines are skipped.
 *
 * @param path the file
 * @param options what to do with its columns and with lines that are no objects
 * @throws BertuneError NOT_FOUND: no such file · INVALID_DATA: not in its encoding, a line that is not a JSON object, with
 *   its line · ABORTED
 */
export async function* jsonLineRecords(path: string, options: RecordOptions): AsyncGenerator<readonly DataRecord[]> {
  const slice = new TimeSlice(options.signal);
  const records = new JsonRecords(path, options);
  const lines = new Lines(path);
  for await (const chunk of readTextFile(path, options)) {
    for (const content of lines.split(chunk)) {
      if (content.trim() !== '') records.add(content, lines.line);
      if (!slice.isOver) continue;
      yield records.take();
      await slice.next();
    }
  }
  if (lines.rest.trim() !== '') records.add(lines.rest, lines.line + 1);
  yield records.take();
}

/** Cuts the pieces of a file into lines. */
class Lines {
  /** The line that was cut last, from 1. */
  line = 0;
  /** What follows it. */
  rest = '';

  constructor(private readonly path: string) {}

  *split(chunk: string): Generator<string> {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
      const content = this.rest + chunk.slice(start, end);
      this.rest = '';
      start = end + 1;
      this.line++;
      yield content;
    }
    // Joined when it is whole: looking through it again with each piece would take the square of its length.
    this.rest += chunk.slice(start);
    expectRow(this.path, this.line + 1, this.rest.length);
  }
}

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
    if (isObject(value)) return value;
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

import type { BertuneError } from '../errors.js';
import { parseJsonRow } from '../files/json.js';
import { TimeSlice } from '../time-slice.js';
import { jsonLineRecords } from './json-lines.js';
import { JsonRecords } from './json-records.js';
import { expectRow, MOST_ROW_CHARACTERS } from './limits.js';
import type { DataRecord, RecordOptions } from './records.js';
import { readTextFile } from './text-file.js';

/** What may stand in front of the objects: `[`, or `{"data": [` with a version before it ... */
const HEAD = /^\s*(?:\{\s*(?:"version"\s*:\s*(?:"[^"]*"|[\d.]+)\s*,\s*)?"data"\s*:\s*)?\[/;
/** ... and what after the `]` of an object's array, without its white space. After one that stands alone nothing may. */
const OBJECT_TAIL = /^(?:,"version":(?:"[^"]*"|[\d.]+))?\}$/;
/** Longest of either. */
const MOST_CHARACTERS = 1024;

/** Characters between two looks at the clock. */
const PIECE_CHARACTERS = 16384;

/**
 * Reads a .json file: an array of objects, alone or as `data` of an object, or JSON lines. It is read in pieces, never
 * as a whole. Nothing that follows the array is passed over but the version of its object.
 *
 * @param path the file
 * @param options as for `jsonLineRecords`
 * @throws BertuneError as `jsonLineRecords`
 */
export async function* jsonRecords(path: string, options: RecordOptions): AsyncGenerator<readonly DataRecord[]> {
  const array = await findArray(path, options);
  if (array === undefined) return yield* jsonLineRecords(path, options);
  const records = new JsonRecords(path, options);
  const splitter = new ObjectSplitter(path, records, array);
  const slice = new TimeSlice(options.signal);
  let before = array.start;
  for await (const chunk of readTextFile(path, options)) {
    for (let start = before; start < chunk.length; start += PIECE_CHARACTERS) {
      splitter.write(chunk.slice(start, start + PIECE_CHARACTERS));
      if (!slice.isOver) continue;
      yield records.take();
      await slice.next();
    }
    before = Math.max(0, before - chunk.length);
  }
  splitter.end();
  yield records.take();
}

/** Where the array of a file is. */
interface FoundArray {
  /** The character after its `[`, and that one's line. */
  readonly start: number;
  readonly line: number;
  /** Whether it is `data` of an object. */
  readonly inObject: boolean;
}

/** The array of a file; undefined where its objects are lines. */
async function findArray(path: string, options: RecordOptions): Promise<FoundArray | undefined> {
  let head = '';
  for await (const chunk of readTextFile(path, options)) {
    head += chunk;
    const found = HEAD.exec(head)?.[0];
    if (found !== undefined) {
      const inObject = found.includes('{');
      if (inObject && (await hasObjectLines(path, options))) return undefined;
      return { start: found.length, line: found.split('\n').length, inObject };
    }
    if (head.length >= MOST_CHARACTERS) return undefined;
  }
  return undefined;
}

/**
 * Whether the first line is an object of its own and another line follows it: then these are JSON lines, and `data` is a
 * column as for Hugging Face's `datasets`.
 */
async function hasObjectLines(path: string, options: RecordOptions): Promise<boolean> {
  let text = '';
  let end = -1;
  for await (const chunk of readTextFile(path, options)) {
    const more = text === '' ? chunk.trimStart() : chunk;
    const lineEnd = more.indexOf('\n');
    if (end < 0 && lineEnd >= 0) end = text.length + lineEnd;
    text += more;
    if (end >= 0 && text.slice(end).trim() !== '') return isJsonObject(text.slice(0, end));
    if (text.length > MOST_ROW_CHARACTERS) return false;
  }
  return false;
}

/** Whether a text that starts with a brace is JSON. */
function isJsonObject(text: string): boolean {
  try {
    parseJsonRow(text);
    return true;
  } catch {
    return false;
  }
}

/** What may come next between the objects of an array; 'end' once it is closed. */
type Next = 'first' | 'object' | 'separator' | 'end';

/** Finds where each object of an array starts and ends. */
class ObjectSplitter {
  private depth = 0;
  private inString = false;
  private escaped = false;
  private next: Next = 'first';
  /** What follows the array, without its white space. */
  private tail = '';
  /** Parts of an object that began in an earlier piece. */
  private rest = '';
  private startLine = 1;
  private readonly inObject: boolean;
  private line: number;

  constructor(
    private readonly path: string,
    private readonly objects: JsonRecords,
    { inObject, line }: FoundArray,
  ) {
    this.inObject = inObject;
    this.line = line;
  }

  write(piece: string): void {
    let start = 0;
    for (let at = 0; at < piece.length; at++) {
      const code = piece.charCodeAt(at);
      if (code === 0x0a) this.line++;
      if (this.inString) {
        if (this.escaped) this.escaped = false;
        else if (code === 0x5c) this.escaped = true;
        else if (code === 0x22) this.inString = false;
      } else if (this.depth === 0) {
        if (code <= 0x20) continue;
        if (this.next === 'end') {
          this.tail += piece[at];
          if (!this.inObject || this.tail.length > MOST_CHARACTERS) throw this.trailing(piece.slice(at, at + 60));
        } else if (code === 0x7b && this.next !== 'separator') {
          this.depth = 1;
          this.startLine = this.line;
          start = at;
        } else if (code === 0x2c && this.next === 'separator') this.next = 'object';
        else if (code === 0x5d && this.next !== 'object') this.next = 'end';
        else {
          const expected = this.next === 'separator' ? 'a comma or a closing ]' : 'a JSON object';
          throw this.objects.invalid(this.line, expected, piece.slice(at, at + 60));
        }
      } else if (code === 0x22) this.inString = true;
      else if (code === 0x7b || code === 0x5b) this.depth++;
      else if ((code === 0x7d || code === 0x5d) && --this.depth === 0) {
        this.objects.add(this.rest + piece.slice(start, at + 1), this.startLine);
        this.rest = '';
        this.next = 'separator';
      }
    }
    if (this.depth > 0) this.rest += piece.slice(start);
    expectRow(this.path, this.startLine, this.rest.length);
  }

  end(): void {
    if (this.next !== 'end') throw this.objects.invalid(this.line, 'a closing ] of the array', 'the end of the file');
    if (!this.inObject || OBJECT_TAIL.test(this.tail)) return;
    throw this.tail === ''
      ? this.objects.invalid(this.line, 'a closing } of the object', 'the end of the file')
      : this.trailing(this.tail.slice(0, 60));
  }

  private trailing(found: string): BertuneError {
    const expected = this.inObject ? 'only a version after the array data' : 'nothing after the array';
    return this.objects.invalid(this.line, expected, found);
  }
}

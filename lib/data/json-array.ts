import type { BertuneError } from '../errors.js';
import { parseJsonRow } from '../files/json.js';
import { TimeSlice } from '../time-slice.js';
import { readJsonLines } from './json-lines.js';
import { JsonRows } from './json-rows.js';
import { expectRow, MOST_ROW_CHARACTERS } from './limits.js';
import type { Rows } from './rows.js';
import { readTextFile } from './text-file.js';
import type { ReadOptions } from './types.js';

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
 * @param rows of the split, to which its rows are added
 * @param options which columns
 * @throws BertuneError as `readJsonLines`
 */
export async function readJson(path: string, rows: Rows, options: ReadOptions): Promise<void> {
  let splitter: ObjectSplitter | undefined;
  let head = '';
  const slice = new TimeSlice(options.signal);
  for await (const chunk of readTextFile(path, options.signal)) {
    let text = chunk;
    if (splitter === undefined) {
      head += chunk;
      if (head.length < MOST_CHARACTERS && !HEAD.test(head)) continue;
      const start = HEAD.exec(head)?.[0];
      if (start === undefined) return readJsonLines(path, rows, options);
      const inObject = start.includes('{');
      if (inObject && (await hasObjectLines(path, options.signal))) return readJsonLines(path, rows, options);
      const objects = new JsonRows(path, rows, options);
      splitter = new ObjectSplitter(path, objects, inObject, start.split('\n').length);
      text = head.slice(start.length);
    }
    for (let start = 0; start < text.length; start += PIECE_CHARACTERS) {
      splitter.write(text.slice(start, start + PIECE_CHARACTERS));
      if (slice.isOver) await slice.next();
    }
  }
  if (splitter === undefined) return readJsonLines(path, rows, options);
  splitter.end();
}

/**
 * Whether the first line is an object of its own and another line follows it: then these are JSON lines, and `data` is a
 * column as for Hugging Face's `datasets`.
 */
async function hasObjectLines(path: string, signal: AbortSignal | undefined): Promise<boolean> {
  let text = '';
  let end = -1;
  for await (const chunk of readTextFile(path, signal)) {
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

  constructor(
    private readonly path: string,
    private readonly objects: JsonRows,
    /** Whether the array is `data` of an object. */
    private readonly inObject: boolean,
    private line: number,
  ) {}

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

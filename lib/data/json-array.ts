import type { BertuneError } from '../errors.js';
import { endOfString, isObject, parseJsonRow } from '../files/json.js';
import { TimeSlice } from '../time-slice.js';
import { JsonRecords, jsonLineRecords } from './json-lines.js';
import { expectRow, MOST_ROW_CHARACTERS } from './limits.js';
import type { DataRecord, RecordOptions } from './records.js';
import { readTextFile } from './text-file.js';

/** Longest text before the array of an object, and after it. */
const MOST_CHARACTERS = 2 ** 18;

/** Characters between two looks at the clock. */
const PIECE_CHARACTERS = 16384;

/**
 * Reads a .json file: an array of objects, alone or in an object, or JSON lines. It is read in pieces, never as a whole. What
 * an object has beside its array is left out with a note; a second array of objects is refused.
 *
 * @param path the file
 * @param options as for `jsonLineRecords`
 * @throws BertuneError as `jsonLineRecords`
 */
export async function* jsonRecords(path: string, options: RecordOptions): AsyncGenerator<readonly DataRecord[]> {
  const array = await findArray(path, options);
  if (array === undefined) return yield* jsonLineRecords(path, options);
  const records = new JsonRecords(path, options);
  const splitter = new ObjectSplitter(path, records, array, options);
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
  /** The name that it has in an object; undefined where it stands alone. */
  readonly name: string | undefined;
  /** The other names before it. */
  readonly others: readonly string[];
}

/** The array of a file; undefined where its objects are lines. */
async function findArray(path: string, options: RecordOptions): Promise<FoundArray | undefined> {
  let head = '';
  for await (const chunk of readTextFile(path, options)) {
    head += chunk;
    const found = arrayIn(head);
    if (found === 'none' || (found === undefined && head.length > MOST_CHARACTERS)) return undefined;
    if (found === undefined) continue;
    return found.name !== undefined && (await hasObjectLines(path, options)) ? undefined : found;
  }
  return undefined;
}

/** The array that a text starts with, or that is the first one of objects in its object; undefined where it may yet come. */
function arrayIn(text: string): FoundArray | 'none' | undefined {
  const space = /\s*/y;
  const skipSpace = (from: number) => {
    space.lastIndex = Math.min(from, text.length);
    return space.lastIndex + space.exec(text)![0].length;
  };
  const found = (start: number, name?: string): FoundArray => {
    return { start, line: text.slice(0, start).split('\n').length, name, others };
  };
  const others: string[] = [];
  const start = skipSpace(0);
  if (text[start] === '[') return found(start + 1);
  if (text[start] !== '{') return start === text.length ? undefined : 'none';
  for (let at = skipSpace(start + 1); ; ) {
    if (text[at] !== '"') return at >= text.length ? undefined : 'none';
    const nameEnd = endOfString(text, at);
    const colon = skipSpace(nameEnd);
    const value = skipSpace(colon + 1);
    const first = skipSpace(value + 1);
    if (first >= text.length) return undefined;
    if (text[colon] !== ':') return 'none';
    const name = text.slice(at + 1, nameEnd - 1);
    if (text[value] === '[' && text[first] === '{') return found(value + 1, name);
    if (text[value] === '[' && text[first] === ']' && name === 'data') return found(value + 1, name);
    others.push(name);
    const end = skipSpace(endOfValue(text, value));
    if (end >= text.length) return undefined;
    if (text[end] !== ',') return 'none';
    at = skipSpace(end + 1);
  }
}

/** The index after a value of JSON, or the end of the text. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const character = text[i]!;
    if (character === '"') i = endOfString(text, i) - 1;
    else if (character === '[' || character === '{') depth++;
    else if (depth > 0 && (character === ']' || character === '}')) depth--;
    else if (depth === 0 && /[,\]}\s]/.test(character)) return i;
  }
  return text.length;
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
  /** Whether in an element that is neither object nor array. */
  private inScalar = false;
  private escaped = false;
  private next: Next = 'first';
  /** What follows the array in its object. */
  private tail = '';
  /** Parts of an object that began in an earlier piece. */
  private rest = '';
  private startLine = 1;
  private line: number;

  constructor(
    private readonly path: string,
    private readonly objects: JsonRecords,
    private readonly array: FoundArray,
    private readonly options: RecordOptions,
  ) {
    this.line = array.line;
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
        if (this.next === 'end') {
          this.addTail(piece.slice(at));
          return;
        }
        if (this.inScalar) {
          if (code !== 0x2c && code !== 0x5d && code > 0x20) continue;
          this.inScalar = false;
          this.addElement(piece.slice(start, at));
        }
        if (code <= 0x20) continue;
        if ((code === 0x7b || code === 0x5b) && this.next !== 'separator') {
          this.depth = 1;
          this.startLine = this.line;
          start = at;
        } else if (code === 0x2c && this.next === 'separator') this.next = 'object';
        else if (code === 0x5d && this.next !== 'object') this.next = 'end';
        else if (this.next !== 'separator' && code !== 0x2c && code !== 0x5d) {
          // A string, a number or a word: the records say what they think of it.
          this.inScalar = true;
          this.inString = code === 0x22;
          this.startLine = this.line;
          start = at;
        } else {
          const expected = this.next === 'separator' ? 'a comma or a closing ]' : 'a JSON object';
          throw this.objects.invalid(this.line, expected, piece.slice(at, at + 60));
        }
      } else if (code === 0x22) this.inString = true;
      else if (code === 0x7b || code === 0x5b) this.depth++;
      else if ((code === 0x7d || code === 0x5d) && --this.depth === 0) {
        this.addElement(piece.slice(start, at + 1));
      }
    }
    if (this.depth > 0 || this.inScalar) this.rest += piece.slice(start);
    expectRow(this.path, this.startLine, this.rest.length);
  }

  private addElement(end: string): void {
    this.objects.add(this.rest + end, this.startLine);
    this.rest = '';
    this.next = 'separator';
  }

  end(): void {
    if (this.next !== 'end') throw this.objects.invalid(this.line, 'a closing ] of the array', 'the end of the file');
    const { name, others } = this.array;
    if (name === undefined) return;
    if (this.tail.trim() === '')
      throw this.objects.invalid(this.line, 'a closing } of the object', 'the end of the file');
    const members = membersOf(this.tail);
    if (members === undefined) throw this.trailing('the end of the object', this.tail);
    const second = Object.keys(members).find((key) => isArrayOfObjects(members[key]));
    if (second !== undefined) throw this.secondArray(second);
    const left = [...others, ...Object.keys(members)].map((key) => JSON.stringify(key));
    if (left.length === 0) return;
    this.options.onNote?.(`The rows of ${this.path} are its "${name}"; ${left.join(', ')} beside it are left out.`);
  }

  /** Keeps what follows the array. */
  private addTail(text: string): void {
    const { name } = this.array;
    if (name === undefined) {
      const rest = text.trimStart();
      if (rest !== '') throw this.trailing('nothing after the array', rest);
      return;
    }
    this.tail += text;
    const second = /^\s*,\s*"([^"]*)"\s*:\s*\[\s*\{/.exec(this.tail)?.[1];
    if (second !== undefined) throw this.secondArray(second);
    if (this.tail.trimStart().length > MOST_CHARACTERS) throw this.trailing('the end of the object', this.tail);
  }

  private trailing(expected: string, found: string): BertuneError {
    return this.objects.invalid(this.line, expected, found.trimStart().slice(0, 60));
  }

  private secondArray(second: string): BertuneError {
    const found = `"${this.array.name}" and "${second}": put the rows of each split into a file of its own`;
    return this.objects.invalid(this.line, 'one array of objects', found);
  }
}

/** The members that follow an array in its object, of the text after its `]`; undefined where that is no JSON. */
function membersOf(tail: string): Record<string, unknown> | undefined {
  try {
    const { '': _, ...members } = parseJsonRow(`{"": 0 ${tail}`) as Record<string, unknown>;
    return members;
  } catch {
    return undefined;
  }
}

function isArrayOfObjects(value: unknown): boolean {
  return Array.isArray(value) && isObject(value[0]);
}

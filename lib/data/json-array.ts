import { TimeSlice } from '../time-slice.js';
import { readJsonLines } from './json-lines.js';
import { JsonRows } from './json-rows.js';
import { expectRow } from './limits.js';
import type { Rows } from './rows.js';
import { readTextFile } from './text-file.js';
import type { ReadOptions } from './types.js';

/** What may stand in front of the objects: `[`, or `{"data": [` with a version before it. */
const HEAD = /^\s*(?:\{\s*(?:"version"\s*:\s*(?:"[^"]*"|[\d.]+)\s*,\s*)?"data"\s*:\s*)?\[/;
const HEAD_CHARACTERS = 1024;

/** Characters between two looks at the clock. */
const PIECE_CHARACTERS = 16384;

/**
 * Reads a .json file: an array of objects, alone or as `data` of an object, or JSON lines. It is read in pieces, never
 * as a whole.
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
      if (head.length < HEAD_CHARACTERS && !HEAD.test(head)) continue;
      const start = HEAD.exec(head)?.[0];
      if (start === undefined) return readJsonLines(path, rows, options);
      splitter = new ObjectSplitter(path, new JsonRows(path, rows, options), 1 + start.split('\n').length - 1);
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

/** Finds where each object of an array starts and ends. */
class ObjectSplitter {
  private depth = 0;
  private inString = false;
  private escaped = false;
  private closed = false;
  /** Parts of an object that began in an earlier piece. */
  private rest = '';
  private startLine = 1;

  constructor(
    private readonly path: string,
    private readonly objects: JsonRows,
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
        if (this.closed) return;
        if (code === 0x7b) {
          this.depth = 1;
          this.startLine = this.line;
          start = at;
        } else if (code === 0x5d) this.closed = true;
        else if (code !== 0x2c && code > 0x20) {
          throw this.objects.invalid(this.line, 'a JSON object', piece.slice(at, at + 60));
        }
      } else if (code === 0x22) this.inString = true;
      else if (code === 0x7b || code === 0x5b) this.depth++;
      else if ((code === 0x7d || code === 0x5d) && --this.depth === 0) {
        this.objects.add(this.rest + piece.slice(start, at + 1), this.startLine);
        this.rest = '';
      }
    }
    if (this.depth > 0) this.rest += piece.slice(start);
    expectRow(this.path, this.startLine, this.rest.length);
  }

  end(): void {
    if (!this.closed) throw this.objects.invalid(this.line, 'a closing ] of the array', 'the end of the file');
  }
}

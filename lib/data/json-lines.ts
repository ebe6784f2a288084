import { TimeSlice } from '../time-slice.js';
import { JsonRows } from './json-rows.js';
import { expectRow } from './limits.js';
import type { Rows } from './rows.js';
import { readTextFile } from './text-file.js';
import type { ReadOptions } from './types.js';

/**
 * Reads a file with one JSON object a line (.jsonl, .ndjson). Empty lines are skipped.
 *
 * @param path the file
 * @param rows of the split, to which its rows are added
 * @param options which columns
 * @throws BertuneError NOT_FOUND: no such file or column · INVALID_DATA: not UTF-8, a line that is not a JSON object, a
 *   text or label that is missing or of the wrong type; each with its line · ABORTED
 */
export async function readJsonLines(path: string, rows: Rows, options: ReadOptions): Promise<void> {
  const slice = new TimeSlice(options.signal);
  const objects = new JsonRows(path, rows, options);
  let line = 0;
  for await (const content of readLines(path, options.signal)) {
    line++;
    if (content.trim() !== '') objects.add(content, line);
    if (slice.isOver) await slice.next();
  }
}

async function* readLines(path: string, signal: AbortSignal | undefined): AsyncGenerator<string> {
  let rest = '';
  let line = 1;
  for await (const chunk of readTextFile(path, signal)) {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
      yield rest + chunk.slice(start, end);
      rest = '';
      start = end + 1;
      line++;
    }
    // Joined when it is whole: looking through it again with each piece would take the square of its length.
    rest += chunk.slice(start);
    expectRow(path, line, rest.length);
  }
  if (rest !== '') yield rest;
}

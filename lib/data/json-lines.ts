import { TimeSlice } from '../time-slice.js';
import { JsonRecords } from './json-records.js';
import { expectRow } from './limits.js';
import type { DataRecord, RecordOptions } from './records.js';
import { readTextFile } from './text-file.js';

/**
 * Reads a file with one JSON object a line (.jsonl, .ndjson). Empty lines are skipped.
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

import { BertuneError } from '../errors.js';
import { TimeSlice } from '../time-slice.js';
import { type Columns, chooseColumns } from './columns.js';
import { Rows } from './rows.js';
import { readTextFile } from './text-file.js';
import type { DatasetOptions } from './types.js';

/**
 * Reads a file with one JSON object a line (.jsonl, .ndjson). Texts are strings; labels are strings or integers. The
 * first object decides which columns are used. Empty lines are skipped.
 *
 * @param path the file
 * @param options which columns
 * @throws NOT_FOUND: no such file or column · INVALID_DATA: not UTF-8, a line that is not a JSON object, a text or label
 * that is missing or of the wrong type; each with its line · ABORTED
 */
export async function readJsonLines(path: string, options: DatasetOptions): Promise<Rows> {
  const slice = new TimeSlice(options.signal);
  const rows = new Rows(path);
  let columns: Columns | undefined;
  let line = 0;
  for await (const content of readLines(path, options.signal)) {
    line++;
    if (content.trim() !== '') {
      const object = parseObject(path, line, content);
      columns ??= chooseColumns(path, Object.keys(object), options);
      const text = readText(path, line, columns.text, object[columns.text]);
      rows.add(text, readLabel(path, line, columns.label, object[columns.label]), line);
    }
    if (slice.isOver) await slice.next();
  }
  return rows;
}

async function* readLines(path: string, signal: AbortSignal | undefined): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of readTextFile(path, signal)) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== '') yield rest;
}

function parseObject(path: string, line: number, content: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw invalid(path, line, 'a JSON object', `broken JSON (${(error as Error).message})`, error);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(path, line, 'a JSON object', content.slice(0, 60));
  }
  return value as Record<string, unknown>;
}

function readText(path: string, line: number, column: string, value: unknown): string {
  if (typeof value !== 'string')
    throw invalid(path, line, `a string for ${column}`, JSON.stringify(value) ?? 'nothing');
  return value;
}

function readLabel(path: string, line: number, column: string, value: unknown): string {
  const label = Number.isSafeInteger(value) ? String(value) : value;
  if (typeof label !== 'string' || label.trim() === '') {
    throw invalid(path, line, `a name or an integer for ${column}`, JSON.stringify(value) ?? 'nothing');
  }
  return label;
}

function invalid(path: string, line: number, expected: string, found: string, cause?: unknown): BertuneError {
  return new BertuneError('INVALID_DATA', `Expected ${expected} in ${path}, line ${line}, but found ${found}`, {
    cause,
  });
}

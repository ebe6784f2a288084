import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { readDelimited } from './data/delimited.js';
import { readJsonLines } from './data/json-lines.js';
import { impliedClasses, labelIndices } from './data/labels.js';
import { Rows } from './data/rows.js';
import { type DatasetOptions, SPLIT_NAMES, type SplitName, type TextDataset } from './data/types.js';
import { BertuneError } from './errors.js';
import { findDataset } from './hub.js';
import { expectAbortSignal, expectNames, expectObject, expectString, invalidOption } from './options.js';

export type { DatasetOptions, Split, TextDataset } from './data/types.js';

const READERS: Readonly<Record<string, (path: string, options: DatasetOptions) => Promise<Rows>>> = {
  '.csv': readDelimited,
  '.tsv': readDelimited,
  '.txt': readDelimited,
  '.jsonl': readJsonLines,
  '.ndjson': readJsonLines,
};

/** What the file of a split may be called in a folder. */
const FILE_NAMES: Readonly<Record<SplitName, readonly string[]>> = {
  train: ['train'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test'],
};

/** The files of a data set, one a split; at least one of them. */
export interface DatasetFiles {
  train?: string;
  validation?: string;
  test?: string;
}

/** One example in memory. */
export interface TextRow {
  text: string;
  /** The name of a class, or its index. */
  label: string | number;
}

/**
 * Reads a data set for text classification.
 *
 * Files are .csv, .tsv or .txt (a header line; columns divided by comma, semicolon or tab, quoted as RFC 4180 says), or
 * .jsonl or .ndjson (one JSON object a line), in UTF-8. In a folder the splits are the files named `train`,
 * `validation` (or `valid`, `val`, `dev`) and `test` with one of those endings. Labels are names or integers.
 * Empty texts are kept. The event loop runs while files are read.
 *
 * @param source a folder with at least a training file, one file (which becomes `train`), or the files of the splits
 * @param options columns, delimiter, classes
 * @throws NOT_FOUND: no such file, folder, split or column · INVALID_DATA: not UTF-8, an open quote, a row with too few
 * or too many columns, broken JSON, an unknown or empty label, a file without rows; with the line · INVALID_OPTION ·
 * ABORTED
 */
export async function loadDataset(source: string | DatasetFiles, options: DatasetOptions = {}): Promise<TextDataset> {
  checkOptions(options);
  const files = typeof source === 'string' ? await findFiles(source, options.signal) : checkFiles(source);
  const raw: Partial<Record<SplitName, Rows>> = {};
  for (const name of SPLIT_NAMES) {
    const path = files[name];
    if (path !== undefined) raw[name] = await readRows(path, options);
  }
  return assemble(raw, options.labels);
}

/**
 * Makes a data set of examples in memory, by the same rules as `loadDataset`.
 *
 * @param splits the rows of each split; at least one split
 * @param options `labels`: the classes, in order. Defaults to those of the training rows
 * @throws INVALID_DATA: an unknown or empty label, a text that is not a string, a split without rows · INVALID_OPTION
 */
export function datasetFromRows(
  splits: Readonly<Partial<Record<SplitName, readonly TextRow[]>>>,
  options: Pick<DatasetOptions, 'labels'> = {},
): TextDataset {
  expectObject('splits', splits, SPLIT_NAMES);
  expectObject('options', options, ['labels']);
  if (options.labels !== undefined) expectNames('labels', options.labels);
  const raw: Partial<Record<SplitName, Rows>> = {};
  for (const name of SPLIT_NAMES) {
    const rows = splits[name];
    if (rows !== undefined) raw[name] = collectRows(name, rows);
  }
  if (Object.keys(raw).length === 0) throw invalidOption('splits', 'rows for train, validation or test', splits);
  return assemble(raw, options.labels);
}

function checkOptions(options: DatasetOptions): void {
  expectObject('options', options, ['textColumn', 'labelColumn', 'delimiter', 'labels', 'signal']);
  const { textColumn, labelColumn, delimiter, labels, signal } = options;
  if (textColumn !== undefined) expectString('textColumn', textColumn);
  if (labelColumn !== undefined) expectString('labelColumn', labelColumn);
  if (labels !== undefined) expectNames('labels', labels);
  if (signal !== undefined) expectAbortSignal('signal', signal);
  if (delimiter !== undefined && !/^[^"\r\n]$/.test(delimiter)) {
    throw invalidOption('delimiter', 'one character other than a quote or a line end', delimiter);
  }
}

function checkFiles(files: DatasetFiles): DatasetFiles {
  expectObject('source', files, SPLIT_NAMES);
  for (const name of SPLIT_NAMES) if (files[name] !== undefined) expectString(`source.${name}`, files[name]);
  if (SPLIT_NAMES.every((name) => files[name] === undefined)) {
    throw invalidOption('source', 'a file for train, validation or test', files);
  }
  return files;
}

/** The files of a folder, or the one file that `path` is. */
async function findFiles(path: string, signal?: AbortSignal): Promise<DatasetFiles> {
  expectString('source', path);
  const status = await stat(path).catch(() => undefined);
  if (status === undefined)
    return findFiles((await findDataset(path, { select, ...(signal && { signal }) })).directory);
  if (!status.isDirectory()) return { train: path };

  const entries = await readdir(path);
  const files: DatasetFiles = {};
  for (const name of SPLIT_NAMES) {
    const candidates = FILE_NAMES[name].flatMap((stem) => Object.keys(READERS).map((extension) => stem + extension));
    const found = entries.filter((entry) => candidates.includes(entry.toLowerCase()));
    if (found.length > 1) {
      throw new BertuneError('INVALID_DATA', `Expected one ${name} file in ${path} but found ${found.join(' and ')}`);
    }
    if (found[0] !== undefined) files[name] = join(path, found[0]);
  }
  if (files.train === undefined) {
    const expected = Object.keys(READERS).map((extension) => `train${extension}`);
    const there = entries.length === 0 ? 'nothing' : entries.sort().slice(0, 10).join(', ');
    throw new BertuneError('NOT_FOUND', `Expected one of ${expected.join(', ')} in ${path} but found ${there}`);
  }
  return files;
}

/** Files of a repository that may hold a split. */
function select(paths: readonly string[]): readonly string[] {
  const stems = Object.values(FILE_NAMES).flat().join('|');
  const file = new RegExp(`(^|/)(${stems})[^/]*\\.(csv|tsv|txt|jsonl|ndjson|parquet)$`, 'i');
  return paths.filter((path) => file.test(path));
}

async function readRows(path: string, options: DatasetOptions): Promise<Rows> {
  const read = READERS[extname(path).toLowerCase()];
  if (read === undefined) {
    const endings = Object.keys(READERS).join(', ');
    throw new BertuneError('INVALID_DATA', `Expected a file ending in one of ${endings} but received ${path}`);
  }
  return read(path, options);
}

function collectRows(name: SplitName, rows: readonly TextRow[]): Rows {
  if (!Array.isArray(rows)) throw invalidOption(`splits.${name}`, 'an array of { text, label }', rows);
  const collected = new Rows(`the ${name} rows`, 'index');
  rows.forEach((row: unknown, index) => {
    const { text, label } = (row ?? {}) as Partial<TextRow>;
    const written = Number.isSafeInteger(label) ? String(label) : label;
    if (typeof text !== 'string' || typeof written !== 'string' || written.trim() === '') {
      throw new BertuneError('INVALID_DATA', `Expected { text, label } in ${collected.source} at index ${index}`);
    }
    collected.add(text, written, index);
  });
  return collected;
}

/** Gives all splits one list of classes. */
function assemble(raw: Partial<Record<SplitName, Rows>>, labels: readonly string[] | undefined): TextDataset {
  const present = SPLIT_NAMES.flatMap((name) => (raw[name] === undefined ? [] : [{ name, split: raw[name] }]));
  const splits = present.map(({ split }) => split);
  for (const { source, texts } of splits) {
    if (texts.length > 0) continue;
    throw new BertuneError('INVALID_DATA', `Expected at least one row in ${source} but found none`);
  }
  const classes = labels ?? impliedClasses(raw.train === undefined ? splits : [raw.train]);
  const indices = labelIndices(splits, classes);
  return {
    labels: [...classes],
    ...Object.fromEntries(
      present.map(({ name, split }, i) => [
        name,
        { name, texts: split.texts, labels: indices[i]!, source: split.source },
      ]),
    ),
  };
}

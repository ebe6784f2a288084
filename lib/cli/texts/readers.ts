import { chooseTextColumns } from '../../data/columns.js';
import { invalidText, isText } from '../../data/examples.js';
import { JsonRecords } from '../../data/json-lines.js';
import { placeUnit, readRecords } from '../../data/readers.js';
import type { DataRecord, InvalidRow, RecordOptions, TextColumns } from '../../data/records.js';
import type { DatasetOptions } from '../../data/types.js';
import { BertuneError } from '../../errors.js';
import { parseJson } from '../../files/json.js';
import { isString, show } from '../../options/validation.js';
import type { SourceText } from './answers.js';

/** How a file of texts is read. */
export interface FileInputOptions
  extends Omit<RecordOptions, 'columns'>,
    Pick<DatasetOptions, 'textColumn' | 'textPairColumn'> {}

/**
 * Reads the texts of a data file, with all its columns, in the file's order.
 *
 * @param path a file of any format that loadDataset reads
 * @param options which columns are the texts; how it is written
 * @throws BertuneError as readRecords; NOT_FOUND for a column; INVALID_DATA: a text that is no string, no rows
 */
export async function* fileInputs(path: string, options: FileInputOptions): AsyncGenerator<SourceText[]> {
  const { textColumn, textPairColumn, ...reading } = options;
  const unit = placeUnit(path);
  let columns: TextColumns | undefined;
  let found = 0;
  const records = readRecords(path, {
    ...reading,
    columns: (file) => {
      columns = chooseTextColumns(path, file, {
        ...(textColumn !== undefined && { textColumn }),
        ...(textPairColumn !== undefined && { textPairColumn }),
      });
      return file.names;
    },
  });
  for await (const piece of records) {
    const inputs = piece.flatMap((record) => inputOf(path, unit, record, columns!, reading.onInvalid));
    found += inputs.length;
    yield inputs;
  }
  if (found === 0) throw new BertuneError('INVALID_DATA', `Expected at least one row in ${path} but found none`);
}

/** @returns none for a row whose text is none, where such rows are left out */
function inputOf(
  path: string,
  unit: string,
  record: DataRecord,
  columns: TextColumns,
  onInvalid: RecordOptions['onInvalid'],
): SourceText[] {
  const place = `${path}, ${unit} ${record.place}`;
  try {
    return [{ place, ...textsOf(path, record, columns), row: { record, columns } }];
  } catch (error) {
    return refuse(error, record.place, onInvalid);
  }
}

/** The texts of a record. @throws BertuneError INVALID_DATA where one is no string */
function textsOf(path: string, record: DataRecord, { text, pair }: TextColumns): { text: string; pair?: string } {
  return { text: textOf(path, record, text), ...(pair !== undefined && { pair: textOf(path, record, pair) }) };
}

function textOf(path: string, record: DataRecord, column: string): string {
  const value = record.get(column);
  if (isText(value)) return value;
  throw invalidText(path, record, column).error;
}

/** Leaves a row out, or throws where none are. */
function refuse(error: unknown, place: number, onInvalid: RecordOptions['onInvalid']): SourceText[] {
  if (!onInvalid || !(error instanceof BertuneError) || error.code !== 'INVALID_DATA') throw error;
  onInvalid({ reason: 'without a text', place, error });
  return [];
}

/** What lines are called in messages. */
const SOURCE = 'standard input';

/** Lines as they come, some at a time. */
type Lines = AsyncIterable<readonly string[]>;

/** Takes each line for a text. */
export async function* textLines(lines: Lines): AsyncGenerator<SourceText[]> {
  let line = 0;
  for await (const some of lines) yield some.map((text) => ({ place: placeOf(++line), text }));
}

/** How lines of JSON are read. */
interface JsonLineOptions extends Pick<DatasetOptions, 'textColumn' | 'textPairColumn'> {
  /** Called in place of throwing at a line that cannot be read, which is then left out. Defaults to throwing. */
  onInvalid?: (invalid: InvalidRow) => void;
}

/**
 * Takes each line for JSON: a string is a text, an array of two strings a pair, an object per row with a column of texts, and
 * perhaps one of second texts. Empty lines are skipped.
 *
 * @throws BertuneError INVALID_DATA naming the line; NOT_FOUND for a column
 */
export async function* jsonLines(lines: Lines, options: JsonLineOptions): AsyncGenerator<SourceText[]> {
  const reader = new JsonLineReader(options);
  let line = 0;
  for await (const some of lines) {
    yield some.flatMap((content) => {
      line++;
      return content.trim() === '' ? [] : reader.read(content, line);
    });
  }
}

class JsonLineReader {
  readonly #options: JsonLineOptions;
  readonly #records: JsonRecords;
  /** Those of the first object. */
  #columns: TextColumns | undefined;

  constructor(options: JsonLineOptions) {
    this.#options = options;
    const { onInvalid } = options;
    this.#records = new JsonRecords(SOURCE, {
      ...(onInvalid && { onInvalid }),
      columns: (file) => {
        this.#columns = chooseTextColumns(SOURCE, file, options);
        return file.names;
      },
    });
  }

  read(content: string, line: number): SourceText[] {
    const place = placeOf(line);
    try {
      const value = /^\s*["[]/.test(content) ? parsed(content, place) : undefined;
      if (value === undefined) return this.#rows(content, line);
      if (isString(value) && value.isWellFormed()) return [{ place, text: value }];
      const isPair =
        Array.isArray(value) && value.length === 2 && value.every((text) => isString(text) && text.isWellFormed());
      if (!isPair) throw invalid(place, show(value));
      const [text, pair] = value as [string, string];
      return [{ place, text, pair }];
    } catch (error) {
      return refuse(error, line, this.#options.onInvalid);
    }
  }

  #rows(content: string, line: number): SourceText[] {
    this.#records.add(content, line);
    return this.#records.take().map((record) => ({
      place: placeOf(line),
      ...textsOf(SOURCE, record, this.#columns!),
      row: { record, columns: this.#columns! },
    }));
  }
}

function parsed(content: string, place: string): unknown {
  try {
    return parseJson(content);
  } catch (error) {
    throw invalid(place, `broken JSON (${(error as Error).message})`, error);
  }
}

function invalid(place: string, found: string, cause?: unknown): BertuneError {
  const expected = 'a JSON string, a pair of strings or an object with a text';
  return new BertuneError('INVALID_DATA', `Expected ${expected} on ${place}, but found ${found}`, { cause });
}

function placeOf(line: number): string {
  return `${SOURCE}, line ${line}`;
}

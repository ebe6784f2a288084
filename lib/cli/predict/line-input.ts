import { chooseTextColumns } from '../../data/columns.js';
import { JsonRecords } from '../../data/json-lines.js';
import type { InvalidRow, TextColumns } from '../../data/records.js';
import type { DatasetOptions } from '../../data/types.js';
import { BertuneError } from '../../errors.js';
import { parseJson } from '../../files/json.js';
import { isString, show } from '../../options/validation.js';
import { refuse, textsOf } from './file-input.js';
import type { PredictionInput } from './input.js';

/** What lines are called in messages. */
const SOURCE = 'standard input';

/** Lines as they come, some at a time. */
type Lines = AsyncIterable<readonly string[]>;

/** Takes each line for a text. */
export async function* textLines(lines: Lines): AsyncGenerator<PredictionInput[]> {
  let line = 0;
  for await (const some of lines) yield some.map((text) => ({ place: placeOf(++line), text }));
}

/** How lines of JSON are read. */
export interface JsonLineOptions extends Pick<DatasetOptions, 'textColumn' | 'textPairColumn'> {
  /** Called in place of throwing at a line that cannot be read, which is then left out. Defaults to throwing. */
  onInvalid?: (invalid: InvalidRow) => void;
}

/**
 * Takes each line for JSON: a string is a text, an array of two strings a pair, an object a row with a column of texts, and
 * perhaps one of second texts. Empty lines are skipped.
 *
 * @throws BertuneError INVALID_DATA naming the line; NOT_FOUND for a column
 */
export async function* jsonLines(lines: Lines, options: JsonLineOptions): AsyncGenerator<PredictionInput[]> {
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

  read(content: string, line: number): PredictionInput[] {
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
      return refuse(error, 'without a text', line, this.#options.onInvalid);
    }
  }

  #rows(content: string, line: number): PredictionInput[] {
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

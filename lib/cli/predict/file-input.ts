import { chooseTextColumns } from '../../data/columns.js';
import { invalidText, isText } from '../../data/examples.js';
import { placeUnit, readRecords } from '../../data/readers.js';
import type { DataRecord, RecordOptions, TextColumns } from '../../data/records.js';
import type { DatasetOptions } from '../../data/types.js';
import { BertuneError } from '../../errors.js';
import type { PredictionInput } from './input.js';

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
export async function* fileInputs(path: string, options: FileInputOptions): AsyncGenerator<PredictionInput[]> {
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
): PredictionInput[] {
  const place = `${path}, ${unit} ${record.place}`;
  try {
    return [{ place, ...textsOf(path, record, columns), row: { record, columns } }];
  } catch (error) {
    return refuse(error, 'without a text', record.place, onInvalid);
  }
}

/** The texts of a record. @throws BertuneError INVALID_DATA where one is no string */
export function textsOf(
  path: string,
  record: DataRecord,
  { text, pair }: TextColumns,
): { text: string; pair?: string } {
  return { text: textOf(path, record, text), ...(pair !== undefined && { pair: textOf(path, record, pair) }) };
}

function textOf(path: string, record: DataRecord, column: string): string {
  const value = record.get(column);
  if (isText(value)) return value;
  throw invalidText(path, record, column).error;
}

/** Leaves a row out, or throws where none are. */
export function refuse(
  error: unknown,
  reason: string,
  place: number,
  onInvalid: RecordOptions['onInvalid'],
): PredictionInput[] {
  if (!onInvalid || !(error instanceof BertuneError) || error.code !== 'INVALID_DATA') throw error;
  onInvalid({ reason, place, error });
  return [];
}

import { basename, dirname, join, resolve } from 'node:path';
import { packHashes, rowHashes, unpackHashes } from '../data/same-texts.js';
import { SPLIT_NAMES, type Split, type SplitName, type TextDataset } from '../data/types.js';
import { readJsonObject } from '../files/input.js';
import { writeJson } from '../files/output.js';
import { embeddedPath } from '../hub/embedded.js';
import { inSlices, PIECES, type Slices } from '../time-slice.js';

/** The file beside a model that says which rows were trained on, and which were not. */
export const TRAINING_ROWS_FILE = 'training_rows.json';

/** In which split of the training data a row was. */
export type RowPlace = SplitName | 'new';

/** Writes which rows a model is trained on: a hash of each row's text, by split, as base64. */
export async function writeTrainingRows(data: TextDataset, output: string): Promise<void> {
  const record: Partial<Record<SplitName, string>> = {};
  for (const name of SPLIT_NAMES) {
    const split = data[name];
    if (split !== undefined) record[name] = packHashes(await inSlices(rowHashes(split)));
  }
  await writeJson(join(output, TRAINING_ROWS_FILE), record);
}

/** The rows that a model was trained on, and those that were held out. */
export class TrainingRows {
  private constructor(private readonly hashes: Readonly<Record<SplitName, ReadonlySet<number>>>) {}

  /** What is recorded beside a model, or beside the checkpoints of its run; undefined where nothing is. */
  static async of(model: string): Promise<TrainingRows | undefined> {
    const place = resolve(embeddedPath('model', model));
    const isCheckpoint = /^checkpoint-\d+$/.test(basename(place));
    const record = (await readRecord(place)) ?? (isCheckpoint ? await readRecord(dirname(place)) : undefined);
    if (record === undefined) return undefined;
    const hashesOf = (name: SplitName) => unpackHashes(typeof record[name] === 'string' ? record[name] : '');
    return new TrainingRows({
      train: hashesOf('train'),
      validation: hashesOf('validation'),
      test: hashesOf('test'),
    });
  }

  /** Where each row of a split was in training (N); a row that was trained on is a training row, wherever else it was. */
  async places(split: Split, signal: AbortSignal): Promise<RowPlace[]> {
    return inSlices(this.look(split), signal);
  }

  private *look(split: Split): Slices<RowPlace[]> {
    const places: RowPlace[] = [];
    for (const [row, hash] of (yield* rowHashes(split)).entries()) {
      places.push((['train', 'test', 'validation'] as const).find((name) => this.hashes[name].has(hash)) ?? 'new');
      if (row % PIECES === 0) yield;
    }
    return places;
  }
}

/** Files pass through many hands: what is not as it was written counts as not there. */
async function readRecord(directory: string): Promise<Record<string, unknown> | undefined> {
  return readJsonObject(join(directory, TRAINING_ROWS_FILE), 'INVALID_DATA').catch(() => undefined);
}

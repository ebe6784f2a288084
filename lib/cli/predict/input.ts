import type { DataRecord, TextColumns } from '../../data/records.js';

/** A text, or a pair of texts, that is to be classified. */
export interface PredictionInput {
  /** Where it stands, in words: `reviews.csv, line 3`. */
  readonly place: string;
  readonly text: string;
  /** The second text of a pair; undefined for a single text. */
  readonly pair?: string | undefined;
  /** The row that it stands in, whose columns are kept; undefined for a text by itself. */
  readonly row?: { readonly record: DataRecord; readonly columns: TextColumns };
}

/** Inputs as they come, some at a time. */
export type PredictionInputs = AsyncIterable<readonly PredictionInput[]>;

/**
 * The same inputs in groups of one size, but for the last.
 *
 * @param size inputs a group
 */
export async function* grouped(inputs: PredictionInputs, size: number): AsyncGenerator<PredictionInput[]> {
  let group: PredictionInput[] = [];
  for await (const some of inputs) {
    for (const input of some) {
      if (group.push(input) < size) continue;
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}

import { columnOf } from '../../data/records.js';
import { jsonMembers } from '../../files/json.js';
import type { PredictionInput } from './input.js';
import type { Predicted } from './predicted.js';

/** What is written of a prediction. */
export interface ColumnOptions {
  /** The best labels to list, with their scores; null: the best one alone. */
  topK: number | null;
  /** Whether every label's score is written. */
  scores: boolean;
  /** Whether the texts are. */
  text: boolean;
  /** What the names of new columns begin with, beside those of a file. */
  prefix: string;
}

/** How a format writes a value, and one that is JSON already. */
export interface ValueWriter<Value> {
  value(value: unknown): Value;
  json(text: string): Value;
}

/** A label and its score. */
export type Ranked = readonly [label: string, score: number];

/** What new columns are called: those of a text by itself have plain names. */
export function prefixOf({ row }: PredictionInput, { prefix }: ColumnOptions): string {
  return row === undefined ? '' : prefix;
}

/** The columns of an input, in its order. */
export function inputColumns<Value>(
  { text, pair, row }: PredictionInput,
  options: ColumnOptions,
  writer: ValueWriter<Value>,
): [name: string, value: Value][] {
  if (row === undefined) {
    const texts: [string, string | undefined][] = options.text
      ? [
          ['text', text],
          ['text_pair', pair],
        ]
      : [];
    return texts.flatMap(([name, value]) => (value === undefined ? [] : [[name, writer.value(value)]]));
  }
  const { record, columns } = row;
  const all: [string, Value][] =
    record.json === undefined
      ? record.columns.map((name, i) => [name, writer.value(record.values[i])])
      : jsonMembers(record.json).map(([name, value]) => [name, writer.json(value)]);
  if (options.text) return all;
  const texts = [columns.text, columns.pair].map((path) => path && columnOf(path, record.columns));
  return all.filter(([name]) => !texts.includes(name));
}

/** The labels of a prediction that are listed, the best first. */
export function ranking({ prediction }: Predicted, topK: number): Ranked[] {
  return Object.entries(prediction.scores ?? {})
    .sort(([a, x], [b, y]) => y - x || Number(b === prediction.label) - Number(a === prediction.label))
    .slice(0, topK);
}

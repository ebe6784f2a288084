import type { DatasetSummary } from '../data/summary.js';
import type { TextDataset } from '../data/types.js';
import type { DataRecord } from '../report/records.js';
import { splitSizes } from './run.js';

/** Data as results.json holds them. */
export function dataRecord(
  data: TextDataset,
  source: string,
  summary: DatasetSummary,
): DataRecord & { summary: DatasetSummary } {
  const { labels, heldOut } = data;
  return { source, labels, splits: splitSizes(data), ...(heldOut && { held_out: heldOut }), summary };
}

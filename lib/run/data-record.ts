import { rowsDigest } from '../data/digest.js';
import type { DatasetSummary } from '../data/summary.js';
import type { TextDataset } from '../data/types.js';
import type { DataRecord } from '../report/records.js';
import { inSlices } from '../time-slice.js';
import { splitSizes } from './run.js';

/** Data as results.json holds them: enough to tell later which rows were trained on. */
export async function dataRecord(
  data: TextDataset,
  source: string,
  summary: DatasetSummary,
  signal?: AbortSignal,
): Promise<DataRecord & { summary: DatasetSummary }> {
  const { labels, train, heldOut } = data;
  return {
    source,
    labels,
    splits: splitSizes(data),
    ...(train && { train_digest: await inSlices(rowsDigest([train]), signal) }),
    ...(heldOut && { held_out: heldOut }),
    summary,
  };
}

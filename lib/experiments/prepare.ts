import { expectClasses } from '../data/quality.js';
import { type DatasetSummary, summarize } from '../data/summary.js';
import type { TextDataset } from '../data/types.js';
import { BertuneError } from '../errors.js';
import type { DataRecord } from '../report/records.js';
import { embeddedModelNotes } from './embedded-limits.js';
import type { Experiment } from './experiment.js';
import { dataRecord } from './run.js';
import { datasetFor, statedTask } from './task.js';

/** Data that were read before the processes that train on them start, so that what is wrong with them is said once. */
export interface PreparedData {
  readonly data: TextDataset;
  readonly record: DataRecord & { readonly summary: DatasetSummary };
}

/**
 * Reads the data of runs that are to be compared.
 *
 * @param source where they are, in words
 * @param texts whether the record may quote texts. Defaults to true
 * @throws BertuneError NOT_FOUND where there is no training split, or no test split; INVALID_DATA
 */
export async function prepareData(
  experiment: Pick<Experiment, 'model' | 'adapter' | 'base' | 'data' | 'dataset'>,
  source: string,
  signal: AbortSignal,
  texts = true,
): Promise<PreparedData> {
  const stated = await statedTask(experiment, { signal });
  const data = await datasetFor(experiment.data, { ...experiment.dataset, signal }, stated);
  for (const name of ['train', 'test'] as const) {
    if (data[name] !== undefined) continue;
    const advice =
      name === 'test' ? ': name a --test-file, or hold one out of the training rows with --test-fraction 0.1' : '';
    const why = data.notes === undefined ? '' : ` (${data.notes.join('; ')})`;
    throw new BertuneError('NOT_FOUND', `Expected a ${name} split in ${source} but found none${why}${advice}`);
  }
  expectClasses(data);
  const summary = await summarize(data, { signal });
  const limits = await embeddedModelNotes(experiment.model, data.train!, signal);
  return { data, record: dataRecord(data, source, { ...summary, notes: [...summary.notes, ...limits] }, texts) };
}

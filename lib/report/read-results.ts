import { readJsonObject } from '../files/input.js';
import { expectResults } from './html/input.js';

/**
 * Reads a results.json, for renderReport or writeReport.
 *
 * @throws BertuneError NOT_FOUND, INVALID_DATA where it is no JSON, or has neither runs nor one run, or more than 100
 */
export async function readResults(path: string): Promise<Record<string, unknown>> {
  const results = await readJsonObject(path, 'INVALID_DATA');
  expectResults(results, path);
  return results;
}

import { BertuneError } from '../errors.js';
import { readJsonObject } from '../files/input.js';
import { isResults } from './html/input.js';

/**
 * Reads a results.json, for renderReport or writeReport.
 *
 * @throws BertuneError NOT_FOUND, INVALID_DATA where it is no JSON, or has neither runs nor one run
 */
export async function readResults(path: string): Promise<Record<string, unknown>> {
  const results = await readJsonObject(path, 'INVALID_DATA');
  if (isResults(results)) return results;
  throw new BertuneError('INVALID_DATA', `Expected runs, or one run, in ${path}`);
}

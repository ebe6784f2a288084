import { BertuneError } from './errors.js';

/**
 * Makes sure that files can be written to a directory: creates it where needed and tries a write.
 *
 * @param options.overwrite whether a directory that is not empty will do. Defaults to false.
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function prepareOutputDirectory(path: string, options: { overwrite?: boolean } = {}): Promise<void> {
  throw new BertuneError('INTERNAL', `not written yet: ${path} ${options}`);
}

/**
 * Writes a file under a temporary name, flushes it to the disk and renames it: readers see the old file or the new one.
 *
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  throw new BertuneError('INTERNAL', `not written yet: ${path} ${data}`);
}

/**
 * Writes a value as JSON (indent 2, a newline at the end) with writeFileAtomic.
 *
 * @param options.sortKeys whether keys are sorted, as Python's json with sort_keys. Defaults to false.
 */
export async function writeJson(path: string, value: unknown, options: { sortKeys?: boolean } = {}): Promise<void> {
  throw new BertuneError('INTERNAL', `not written yet: ${path} ${value} ${options}`);
}

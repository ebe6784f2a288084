import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type FindOptions, findModel } from '../hub.js';

/** The model that comes with the package. */
export const EMBEDDED_MODEL = 'bert-mini';
/** The data that comes with the package. */
export const EMBEDDED_DATA = 'goemotions6';

// The same number of folders up from lib/compare and from dist/compare.
const asset = (path: string) => fileURLToPath(new URL(`../../assets/${path}`, import.meta.url));

/**
 * Where a model is: the name of the embedded one means its folder, unless something of that name lies in the working
 * directory. Anything else stays as it is.
 */
export function modelPath(name: string): string {
  return name === EMBEDDED_MODEL && !existsSync(name) ? asset(`models/${EMBEDDED_MODEL}`) : name;
}

/**
 * The folder of a model: the embedded one's, a local one, or the hub's snapshot, fetched where it is not here.
 *
 * @throws BertuneError as findModel
 */
export async function modelDirectory(name: string, options: FindOptions = {}): Promise<string> {
  return (await findModel(modelPath(name), options)).directory;
}

/** Where data are, likewise. */
export function dataPath(name: string): string {
  return name === EMBEDDED_DATA && !existsSync(name) ? asset(`data/${EMBEDDED_DATA}`) : name;
}

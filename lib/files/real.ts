import { basename, dirname, join, resolve } from 'node:path';
import { realpath } from './fs.js';

/** Where a path leads through all links, also where its last parts are not there yet. Absolute. */
export async function realPlace(path: string): Promise<string> {
  const place = resolve(path);
  const found = await realpath(place).catch(() => undefined);
  if (found !== undefined || dirname(place) === place) return found ?? place;
  return join(await realPlace(dirname(place)), basename(place));
}

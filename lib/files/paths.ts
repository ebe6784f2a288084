import { basename, dirname, join, resolve } from 'node:path';
import { readdir, realpath } from './fs.js';

/** Files of a directory and below, with `/` between parts, sorted. What is a link counts as a file. */
export async function listFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const lists = await Promise.all(
    entries.map(async (entry) =>
      entry.isDirectory()
        ? (await listFiles(join(directory, entry.name))).map((name) => `${entry.name}/${name}`)
        : [entry.name],
    ),
  );
  return lists.flat().sort();
}

/** The names in a directory, and in its folders with a `/`; none where it cannot be read. */
export async function namesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const inside = entries.map(async (entry) => {
    if (!entry.isDirectory()) return [entry.name];
    const names = await readdir(`${directory}/${entry.name}`).catch(() => []);
    return [entry.name, ...names.map((name) => `${entry.name}/${name}`)];
  });
  return (await Promise.all(inside)).flat();
}

/** Where a path leads through all links, also where its last parts are not there yet. Absolute. */
export async function realPlace(path: string): Promise<string> {
  const place = resolve(path);
  const found = await realpath(place).catch(() => undefined);
  if (found !== undefined || dirname(place) === place) return found ?? place;
  return join(await realPlace(dirname(place)), basename(place));
}

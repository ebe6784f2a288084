import { join } from 'node:path';
import { readdir } from './fs.js';

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

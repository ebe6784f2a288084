import { readdir } from './fs.js';

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

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { SetupError } from '../console.js';

/**
 * Packs a folder as npm would publish it.
 *
 * @returns {{ file: string, size: number, unpackedSize: number, entryCount: number }} the archive, and its bytes
 */
export function pack(folder, output) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', output];
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new SetupError(`npm pack failed in ${folder}:\n${stderr}`);
  // Older versions of npm print an array, newer ones an object by the package's name.
  const [{ filename, ...sizes }] = Object.values(JSON.parse(stdout));
  return { file: path.join(output, path.basename(filename)), ...sizes };
}

import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SOURCE = fileURLToPath(new URL('./faults.cpp', import.meta.url));

/**
 * Compiles faults.cpp, which takes about two seconds.
 *
 * @param folder where faults.node goes
 * @returns its path
 */
export async function buildFaults(folder: string): Promise<string> {
  const headers = (createRequire(import.meta.url)('node-api-headers') as { include_dir: string }).include_dir;
  const output = join(folder, 'faults.node');
  const flags = ['-std=c++20', '-O1', '-g', '-fPIC', '-shared', '-Wall', '-Wextra', '-Werror'];
  await promisify(execFile)(process.env.CXX ?? 'c++', [...flags, '-isystem', headers, '-o', output, SOURCE, '-ldl']);
  return output;
}

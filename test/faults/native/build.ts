import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const sourceOf = (name: string) => fileURLToPath(new URL(`./${name}.cpp`, import.meta.url));

async function build(name: string, folder: string): Promise<string> {
  const headers = (createRequire(import.meta.url)('node-api-headers') as { include_dir: string }).include_dir;
  const output = join(folder, `${name}.node`);
  const flags = ['-std=c++20', '-O1', '-g', '-fPIC', '-shared', '-Wall', '-Wextra', '-Werror'];
  const args = [...flags, '-isystem', headers, '-o', output, sourceOf(name), '-ldl'];
  await promisify(execFile)(process.env.CXX ?? 'c++', args);
  return output;
}

/**
 * Compiles faults.cpp, which takes about two seconds.
 *
 * @param folder where faults.node goes
 * @returns its path
 */
export function buildFaults(folder: string): Promise<string> {
  return build('faults', folder);
}

/** The same for device-faults.cpp. */
export function buildDeviceFaults(folder: string): Promise<string> {
  return build('device-faults', folder);
}

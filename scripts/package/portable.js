import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { step } from '../build.js';
import { addonCommands } from '../cmake.js';
import { root, SetupError } from '../console.js';
import { fingerprint, listFiles, readStamp, writeStamp } from '../files.js';
import { binaryNeeds } from './binary.js';

const folder = 'build/portable';
const definitions = ['BERTUNE_STATIC=ON', 'BERTUNE_NATIVE_ARCH=OFF', 'BERTUNE_CUDA=OFF'];

/** Libraries that every system with the GNU C library has. */
const SYSTEM = ['libm.so.6', 'libc.so.6', 'ld-linux-x86-64.so.2', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1'];

const EXPORTED = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

const OPERATIONS = 'bertune_operations';

/**
 * Builds the addon for any x86-64 processor with AVX2 (x86-64-v3), with everything linked in but the C library.
 *
 * @param {{ operations?: boolean }} [options] operations: bertune_operations.node as well, beside it, for tests elsewhere
 * @returns {Promise<{ file: string, glibc: string }>} the addon, and the least version of the C library that it runs on
 */
export async function buildPortable({ operations = false } = {}) {
  const sources = listFiles([
    'CMakeLists.txt',
    'cmake',
    ...['addon', 'core', 'cpu', 'model'].map((name) => `native/${name}`),
  ]);
  const targets = ['bertune', ...(operations ? [OPERATIONS] : [])];
  const stamp = fingerprint(
    [...sources, ...(operations ? listFiles(['native/operations']) : []), 'package-lock.json'],
    ...definitions,
    root,
  );
  const [file, ...more] = targets.map((name) => path.join(root, folder, `Release/${name}.node`));
  const stampFile = `${folder}/.stamp-${targets.at(-1)}`;
  if (readStamp(stampFile) !== stamp || ![file, ...more].every((made) => existsSync(made))) {
    await step('building the portable addon', 'cmake', addonCommands(folder, { definitions, targets }), false);
    writeStamp(stampFile, stamp);
  }
  return { file, glibc: checkBinary(file, EXPORTED) };
}

/**
 * Refuses a binary that would not load elsewhere, that shows other addons of the process what is linked into it, or that
 * names the folder in which it was built.
 *
 * @param {string} file
 * @param {string[]} mayExport the names that it may show
 * @returns {string} the least version of the GNU C library that it runs on
 */
export function checkBinary(file, mayExport) {
  const { libraries, glibc, exported } = binaryNeeds(file);
  const more = libraries.filter((name) => !SYSTEM.includes(name));
  if (more.length > 0) throw new SetupError(`${file} must not need ${more.join(', ')}`);
  const seen = exported.filter((name) => !mayExport.includes(name));
  if (seen.length > 0) throw new SetupError(`${file} must not export ${seen.join(', ')}`);
  if (readFileSync(file).includes(path.join(root, 'native'))) throw new SetupError(`${file} must not name ${root}`);
  return glibc;
}

import { existsSync } from 'node:fs';
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

/**
 * Builds the addon for any x86-64 processor with AVX2 (x86-64-v3), with everything linked in but the C library.
 *
 * @returns {Promise<{ file: string, glibc: string }>} the addon, and the least version of the C library that it runs on
 */
export async function buildPortable() {
  const sources = listFiles(['CMakeLists.txt', 'cmake', 'native/addon', 'native/core', 'native/cpu', 'native/model']);
  const stamp = fingerprint([...sources, 'package-lock.json'], ...definitions, root);
  const file = path.join(root, folder, 'Release/bertune.node');
  if (readStamp(`${folder}/.stamp`) !== stamp || !existsSync(file)) {
    await step('building the portable addon', 'cmake', addonCommands(folder, { definitions }), false);
    writeStamp(`${folder}/.stamp`, stamp);
  }
  return { file, glibc: checkBinary(file, SYSTEM) };
}

/**
 * Refuses a binary that would not load elsewhere.
 *
 * @returns {string} the least version of the GNU C library that it runs on
 */
export function checkBinary(file, allowed) {
  const { libraries, glibc } = binaryNeeds(file);
  const more = libraries.filter((name) => !allowed.includes(name));
  if (more.length > 0) throw new SetupError(`${file} must not need ${more.join(', ')}`);
  return glibc;
}

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { step } from '../build.js';
import { addonCommands } from '../cmake.js';
import { root, SetupError } from '../console.js';
import { fingerprint, listFiles, readStamp, writeStamp } from '../files.js';
import { binaryNeeds } from './binary.js';

const DEFINITIONS = ['BERTUNE_STATIC=ON', 'BERTUNE_NATIVE_ARCH=OFF', 'BERTUNE_CUDA=OFF'];

/** System libraries that Node.js needs as well. */
const SYSTEM = [
  ...['libm.so.6', 'libc.so.6', 'libgcc_s.so.1', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1'],
  ...['ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1'],
];

/** The latest version of the GNU C library that a published binary may require: the one that Node.js requires. */
const GLIBC = '2.28';

const EXPORTED = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

/** Symbols that Node.js provides to every addon. */
const NODE_API = /^(?:napi|node_api)_/;

const OPERATIONS = 'bertune_operations';

/**
 * Builds the addon for any processor of an architecture (on x86-64: with AVX2, x86-64-v3), with everything linked in except what
 * Node.js needs as well.
 *
 * @param {{ oneDnn?: string, operations?: boolean, cross?: { folder: string, definitions: string[] } }} [options] oneDnn: the folder
 *   of the oneDNN to link in; none by default. operations: build bertune_operations.node beside it, for tests. cross: how to build
 *   for another architecture, and where; by default it is built for this machine's
 * @returns {Promise<{ file: string, glibc: string }>} the addon, and the lowest version of the C library that it runs on
 */
export async function buildPortable({ oneDnn, operations = false, cross } = {}) {
  const { folder, definitions: target } = cross ?? { folder: 'build/portable', definitions: [] };
  const definitions = [
    ...DEFINITIONS,
    ...target,
    `BERTUNE_ONEDNN_LIBRARY=${oneDnn ? path.join(oneDnn, 'lib/libdnnl.a') : 'OFF'}`,
    ...(oneDnn ? [`BERTUNE_ONEDNN_INCLUDE_DIR=${path.join(oneDnn, 'include')}`] : []),
  ];
  const sources = listFiles([
    'CMakeLists.txt',
    'cmake',
    ...['addon', 'core', 'cpu', 'model', 'portable'].map((name) => `native/${name}`),
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
  return { file, glibc: checkBinary(file, { exports: EXPORTED, imports: NODE_API }) };
}

/**
 * Rejects a binary that would not load elsewhere, exposes what is linked into it to other addons of the process, or contains
 * the name of the folder in which it was built.
 *
 * @param {string} file
 * @param {{ exports: string[], imports?: RegExp }} names exports: symbols that it may export. imports: symbols that it may
 *   expect from others than the system's libraries; none by default.
 * @returns {string} the lowest version of the GNU C library that it runs on
 */
export function checkBinary(file, { exports, imports = /^$/ }) {
  const { libraries, glibc, exported, imported } = binaryNeeds(file);
  const more = libraries.filter((name) => !SYSTEM.includes(name));
  if (more.length > 0) throw new SetupError(`${file} must not need ${more.join(', ')}`);
  const seen = exported.filter((name) => !exports.includes(name));
  if (seen.length > 0) throw new SetupError(`${file} must not export ${seen.join(', ')}`);
  const lacking = imported.filter((name) => !imports.test(name));
  if (lacking.length > 0) throw new SetupError(`${file} must not lack ${lacking.join(', ')}`);
  if (glibc.localeCompare(GLIBC, 'en', { numeric: true }) > 0)
    throw new SetupError(`${file} must not need a later GNU C library than ${GLIBC} but needs ${glibc}`);
  if (readFileSync(file).includes(path.join(root, 'native'))) throw new SetupError(`${file} must not name ${root}`);
  return glibc;
}

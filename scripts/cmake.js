import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { root } from './console.js';
import { onPath } from './process.js';

export const jobs = Math.max(1, Math.min(2, os.availableParallelism()));

/** CMake's name for the tool that it writes build files for. */
export const generator = () => (onPath('ninja') ? 'Ninja' : 'Unix Makefiles');

/** The folders of the headers of the Node-API and of its C++ wrapper. */
function headers() {
  const find = createRequire(path.join(root, 'package.json'));
  return [find('node-api-headers').include_dir, path.dirname(find.resolve('node-addon-api'))];
}

/**
 * The arguments of the two runs of CMake that build the addon: to configure, and to build.
 *
 * @param {string} folder where to build, relative to the root
 * @param {{ output?: string, definitions?: string[], parallel?: number, targets?: string[] }} [options] output: the folder of
 *   bertune.node, relative to the root; defaults to Release below `folder`. definitions: NAME=VALUE each. parallel:
 *   how many compilers at once; defaults to one per core, two at most. targets: some of the build's; defaults to all.
 */
export function addonCommands(
  folder,
  { output = `${folder}/Release`, definitions = [], parallel = jobs, targets = ['all'] } = {},
) {
  const defined = [
    'CMAKE_BUILD_TYPE=Release',
    `CMAKE_LIBRARY_OUTPUT_DIRECTORY=${path.join(root, output)}`,
    `CMAKE_JS_INC=${headers().join(';')}`,
    ...definitions,
  ].map((definition) => `-D${definition}`);
  return [
    ['-S', '.', '-B', folder, '-G', generator(), '--log-level=NOTICE', '--no-warn-unused-cli', ...defined],
    ['--build', folder, '--parallel', String(parallel), '--target', ...targets],
  ];
}

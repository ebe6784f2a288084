import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { say } from '../console.js';
import { ADDON_PACKAGE, platformManifest } from './manifest.js';
import { makeFolder, writeNotice } from './stage.js';

const readme = (libraries) => `# ${ADDON_PACKAGE}

The native addon of [bertune](https://www.npmjs.com/package/bertune) for Linux on x86-64 with AVX2, which installs it by itself. ${libraries} linked in.
`;

/**
 * Makes the folder of the package that holds the addon.
 *
 * @param {string} output
 * @param {{ file: string, glibc: string, oneDnn?: string }} addon oneDnn: the folder of the one that is linked in
 */
export function stageAddon(output, { file, glibc, oneDnn }) {
  say(`the addon runs on the GNU C library ${glibc} and later`);
  const files = ['bertune.node', 'NOTICE'];
  const folder = makeFolder(output, platformManifest(ADDON_PACKAGE, 'bertune for Linux on x86-64', files, glibc));
  copyFileSync(file, path.join(folder, 'bertune.node'));
  writeFileSync(path.join(folder, 'README.md'), readme(oneDnn ? 'oneDNN and OpenBLAS are' : 'OpenBLAS is'));
  writeNotice(folder, [
    ...(oneDnn ? ['scripts/package/notices/oneDNN.txt', path.join(oneDnn, 'share/doc/dnnl/THIRD-PARTY-PROGRAMS')] : []),
    'scripts/package/notices/OpenBLAS.txt',
    'scripts/package/notices/GCC.txt',
    'node_modules/node-addon-api/LICENSE.md',
    'node_modules/node-api-headers/LICENSE',
  ]);
  return folder;
}

import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { say } from '../console.js';
import { ADDON_PACKAGE, platformManifest } from './manifest.js';
import { makeFolder, writeNotice } from './stage.js';

const README = `# ${ADDON_PACKAGE}

The native addon of [bertune](https://www.npmjs.com/package/bertune) for Linux on x86-64 with AVX2, which installs it by itself. OpenBLAS is linked in.
`;

/** Makes the folder of the package that holds the addon. */
export function stageAddon(output, { file, glibc }) {
  say(`the addon runs on the GNU C library ${glibc} and later`);
  const files = ['bertune.node', 'NOTICE'];
  const folder = makeFolder(output, platformManifest(ADDON_PACKAGE, 'bertune for Linux on x86-64', files, glibc));
  copyFileSync(file, path.join(folder, 'bertune.node'));
  writeFileSync(path.join(folder, 'README.md'), README);
  writeNotice(folder, [
    'scripts/package/notices/OpenBLAS.txt',
    'scripts/package/notices/GCC.txt',
    'node_modules/node-addon-api/LICENSE.md',
    'node_modules/node-api-headers/LICENSE',
  ]);
  return folder;
}

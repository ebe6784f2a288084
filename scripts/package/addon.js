import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { say } from '../console.js';
import { addonPackage, PLATFORMS, platformManifest } from './manifest.js';
import { makeFolder, textOf, writeNotice } from './stage.js';

const readme = (platform, libraries, glibc) => `# ${addonPackage(platform)}

The native addon of [Bertune](https://www.npmjs.com/package/bertune) for ${PLATFORMS[platform].name}. You do not install it yourself: \`npm install bertune\` does,
as an optional dependency for this platform.

It needs glibc ${glibc} or later${platform === 'linux-x64' ? ', a processor with AVX2,' : ''} and no other library: ${libraries} linked in. If npm left it out (\`--omit=optional\`, or a lock file
written on another platform), run \`npm install ${addonPackage(platform)}\` with the version of your bertune.

Apache-2.0. NOTICE has the licenses of what is linked in.
`;

/**
 * Makes the folder of the package that contains the addon.
 *
 * @param {string} output
 * @param {string} platform one of PLATFORMS
 * @param {{ file: string, glibc: string, oneDnn?: string }} addon oneDnn: the folder of the oneDNN that is linked in
 */
export function stageAddon(output, platform, { file, glibc, oneDnn }) {
  const { name } = PLATFORMS[platform];
  say(`the addon for ${name} runs on the GNU C library ${glibc} and later`);
  const files = ['bertune.node', 'NOTICE'];
  const manifest = platformManifest(platform, addonPackage(platform), `bertune for ${name}`, files, glibc);
  const folder = makeFolder(output, manifest);
  copyFileSync(file, path.join(folder, 'bertune.node'));
  writeFileSync(
    path.join(folder, 'README.md'),
    readme(platform, oneDnn ? 'oneDNN and OpenBLAS are' : 'OpenBLAS is', glibc),
  );
  writeNotice(folder, [
    ...['OpenBLAS', 'GCC'].map((name) => textOf(`scripts/package/notices/${name}.txt`)),
    ...['node-addon-api/LICENSE.md', 'node-api-headers/LICENSE'].map((name) => textOf(`node_modules/${name}`)),
    ...(oneDnn ? [textOf('scripts/package/notices/oneDNN.txt'), oneDnnNotices(oneDnn)] : []),
  ]);
  return folder;
}

const oneDnnNotices = (folder) => readFileSync(path.join(folder, 'share/doc/dnnl/THIRD-PARTY-PROGRAMS'), 'utf8').trim();

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../console.js';

/** The repository's package.json. */
export const ownManifest = () => JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

export const CUDA_PACKAGE = '@bertune/linux-x64-cuda';

/** Where every package is published. Provenance requires the release workflow: nothing is published from anyone's machine. */
const PUBLISH = { publishConfig: { access: 'public', provenance: true } };

/** What every package says about the project. */
function projectFields() {
  const { homepage, bugs, repository, author } = ownManifest();
  return { homepage, bugs, repository, author, ...PUBLISH };
}

/**
 * The platforms that the addon is published for. `features` of the processor are checked before the addon is opened, by their names in
 * /proc/cpuinfo. On x86-64 the addon is compiled for x86-64-v3, which has more; a processor with these has them all, but sandboxes do
 * not always list them all.
 */
export const PLATFORMS = {
  'linux-x64': { name: 'Linux on x86-64', features: ['avx2', 'bmi2', 'fma'] },
  'linux-arm64': { name: 'Linux on ARM64', features: [] },
};

export const addonPackage = (platform) => `@bertune/${platform}`;

/**
 * The package.json of the main package as published: the repository's, without what only development needs, and with the
 * platform packages in their exact versions. Those are added only here: the repository builds its own binaries, and a lock file
 * cannot contain a version that is yet to be published. `private` prevents `npm publish` in a clone.
 */
export function mainManifest() {
  const { private: _, scripts: __, devDependencies: ___, allowScripts: ____, ...manifest } = ownManifest();
  const addons = Object.keys(PLATFORMS).map((platform) => [addonPackage(platform), manifest.version]);
  return {
    ...manifest,
    ...PUBLISH,
    optionalDependencies: Object.fromEntries(addons),
    // Users with a GPU install it by name; its version has to be the same.
    peerDependencies: { ...manifest.peerDependencies, [CUDA_PACKAGE]: manifest.version },
    peerDependenciesMeta: { ...manifest.peerDependenciesMeta, [CUDA_PACKAGE]: { optional: true } },
  };
}

/**
 * The package.json of a platform package.
 *
 * @param {string} platform one of PLATFORMS
 * @param {string} name
 * @param {string} description
 * @param {string[]} files
 * @param {string} glibc the lowest version of the GNU C library it runs on, which is checked before the binary is opened
 */
export function platformManifest(platform, name, description, files, glibc) {
  const { version, license, engines } = ownManifest();
  return {
    name,
    version,
    description,
    ...projectFields(),
    license,
    engines,
    os: ['linux'],
    cpu: [platform.replace('linux-', '')],
    libc: ['glibc'],
    files,
    ...(files[0].endsWith('.node') ? { main: files[0] } : {}),
    bertune: { glibc, cpu: PLATFORMS[platform].features },
  };
}

/** The package.json of the samples, which have a version of their own: they change less often than the code. */
export function samplesManifest() {
  const manifest = JSON.parse(readFileSync(path.join(root, 'assets/package.json'), 'utf8'));
  return { ...manifest, ...projectFields() };
}

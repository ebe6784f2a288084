// The npm packages that a first run on a GPU takes with it: scripts/gpu/pack.js.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../console.js';
import { ownManifest } from '../package/manifest.js';

/** What tests and benches need beside the library's dependencies. They load lib from its sources, where pbf is not bundled. */
const FOR_TESTS = ['chai', 'mocha', 'pbf', 'tsx'];

/** The folders of those packages and of their dependencies, relative to the root, in order. */
export function packedPackages() {
  return packageFolders([...Object.keys(ownManifest().dependencies), ...FOR_TESTS]);
}

/** The folders of the packages and of their dependencies, as Node.js finds them. */
function packageFolders(roots) {
  const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  const find = (name, from) => {
    const folder = `${from}node_modules/${name}`;
    if (packages[folder]) return folder;
    return from === '' ? undefined : find(name, from.slice(0, from.lastIndexOf('node_modules/')));
  };
  const found = new Set();
  const visit = (name, from) => {
    const folder = find(name, from);
    if (!folder || found.has(folder) || !existsSync(path.join(root, folder))) return;
    found.add(folder);
    const { dependencies, optionalDependencies } = packages[folder];
    for (const needed of Object.keys({ ...dependencies, ...optionalDependencies })) visit(needed, `${folder}/`);
  };
  for (const name of roots) visit(name, '');
  return [...found].sort();
}

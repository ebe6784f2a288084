import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../console.js';

/** Makes a package's folder, with its package.json and the license. */
export function makeFolder(output, manifest) {
  const folder = path.join(output, manifest.name.replace('@', '').replace('/', '-'));
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  return folder;
}

/** A file of the repository, as text. */
export const textOf = (file) => readFileSync(path.join(root, file), 'utf8').trim();

/** Writes the licenses of everything that a package contains into NOTICE, one after the other. */
export function writeNotice(folder, texts) {
  writeFileSync(path.join(folder, 'NOTICE'), `${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`);
}

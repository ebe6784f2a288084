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

/** Writes the licenses of what a binary contains, one behind the other, into NOTICE. Files are relative to the root. */
export function writeNotice(folder, files) {
  const texts = files.map((file) => readFileSync(path.resolve(root, file), 'utf8').trim());
  writeFileSync(path.join(folder, 'NOTICE'), `${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`);
}

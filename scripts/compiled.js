import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './console.js';
import { fingerprint, listFiles, readStamp } from './files.js';

/** What dist is compiled from and by, the file that records it, and whether dist is up to date. */
export function compiled() {
  const { version } = JSON.parse(readFileSync(path.join(root, 'node_modules/typescript/package.json'), 'utf8'));
  const stamp = fingerprint(listFiles(['lib', 'tsconfig.json', 'scripts/declarations.js']), version);
  const file = 'dist/.stamp';
  return { file, stamp, isUpToDate: readStamp(file) === stamp };
}

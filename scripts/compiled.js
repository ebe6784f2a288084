import { fingerprint, listFiles, readStamp } from './files.js';

/** What dist is compiled from and by, the file that records it, and whether dist is up to date. */
export function compiled() {
  const made = ['tsconfig.json', 'scripts/bundle.js', 'scripts/declarations.js', 'package.json', 'package-lock.json'];
  const stamp = fingerprint(listFiles(['lib', ...made]));
  const file = 'dist/.stamp';
  return { file, stamp, isUpToDate: readStamp(file) === stamp };
}

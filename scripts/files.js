import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './console.js';

/**
 * Every file under the given paths (files or folders, relative to the root; missing ones count as empty), sorted.
 *
 * @param {string[]} paths
 * @param {RegExp} [pattern] what a file's name has to match. Defaults to any name.
 * @returns {string[]} paths relative to the root
 */
export function listFiles(paths, pattern = /(?:)/) {
  const files = [];
  const visit = (relative) => {
    const absolute = path.join(root, relative);
    if (!existsSync(absolute)) return;
    if (!statSync(absolute).isDirectory()) files.push(relative);
    else for (const name of readdirSync(absolute)) visit(path.join(relative, name));
  };
  for (const relative of paths) visit(relative);
  return files.filter((file) => pattern.test(path.basename(file))).sort();
}

/** A digest of the names and contents of files, and of further strings. */
export function fingerprint(files, ...more) {
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(path.join(root, file)))
      .update('\0');
  for (const text of more) hash.update(`${text}\0`);
  return hash.digest('hex');
}

/** The fingerprint that a file recorded, or an empty string. */
export function readStamp(file) {
  try {
    return readFileSync(path.join(root, file), 'utf8').trim();
  } catch {
    return '';
  }
}

/** Records a fingerprint in a file. */
export function writeStamp(file, value) {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), `${value}\n`);
}

/** The values in a file of JSON lines; none if it is missing. */
export function readJsonLines(file) {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

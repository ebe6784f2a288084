import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BertuneError } from '../errors.js';
import { readJsonObject, withFile } from './input.js';
import { isObject } from './json.js';
import { writeJson } from './output.js';
import { listFiles } from './paths.js';

/** The file that says what else is in a directory. */
export const MANIFEST_FILE = 'manifest.json';

/** Bytes that are hashed at a time: about a millisecond's work. */
const BLOCK = 2 ** 20;

/** A file as it was written. */
interface Entry {
  /** Bytes. */
  size: number;
  /** Hexadecimal. */
  sha256: string;
}

/** Writes the manifest of a directory: size and SHA-256 of every file in it and below. @throws BertuneError OUTPUT_REFUSED */
export async function writeManifest(directory: string): Promise<void> {
  const files: [string, Entry][] = [];
  for (const name of await listFiles(directory)) files.push([name, await entryOf(join(directory, name))]);
  await writeJson(join(directory, MANIFEST_FILE), { files: Object.fromEntries(files) });
}

/**
 * Checks that a directory holds every file of its manifest, byte for byte.
 *
 * @throws BertuneError NOT_FOUND where it has no manifest; CHECKPOINT_INVALID naming the file that differs
 */
export async function expectWhole(directory: string): Promise<void> {
  const path = join(directory, MANIFEST_FILE);
  for (const [name, entry] of parseManifest(await readJsonObject(path), path)) {
    const file = join(directory, name);
    const found = await entryOf(file, entry.size);
    if (found.size === entry.size && found.sha256 === entry.sha256) continue;
    const what = found.size === entry.size ? 'other bytes' : `${found.size} bytes`;
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${entry.size} bytes in ${file}, as they were written, but found ${what}`,
    );
  }
}

function parseManifest(json: Record<string, unknown>, path: string): [string, Entry][] {
  if (!isObject(json.files)) throw new BertuneError('CHECKPOINT_INVALID', `Expected an object "files" in ${path}`);
  return Object.entries(json.files).map(([name, entry]) => {
    const sound =
      isObject(entry) &&
      Number.isSafeInteger(entry.size) &&
      (entry.size as number) >= 0 &&
      typeof entry.sha256 === 'string' &&
      /^[0-9a-f]{64}$/.test(entry.sha256);
    if (!sound || !isInside(name)) {
      const shown = JSON.stringify(name).slice(0, 200);
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected size and sha256 of a file of the directory for ${shown} in ${path}`,
      );
    }
    return [name, entry as unknown as Entry];
  });
}

/** @param expected where the file has another size, it is not read */
function entryOf(path: string, expected?: number): Promise<Entry> {
  return withFile(path, async (file, size) => {
    const hash = createHash('sha256');
    if (expected !== undefined && size !== expected) return { size, sha256: '' };
    const block = new Uint8Array(Math.min(BLOCK, Math.max(1, size)));
    let done = 0;
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length, done);
      if (bytesRead === 0) break;
      hash.update(block.subarray(0, bytesRead));
      done += bytesRead;
      if (done > size) break;
    }
    return { size: done, sha256: hash.digest('hex') };
  });
}

/**
 * Whether a name leads to a file in its directory or below, and nowhere else: names may come with a model, and may not make
 * us touch files elsewhere.
 *
 * @param name with `/` between its parts
 */
function isInside(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    !/[\0\\:]/.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

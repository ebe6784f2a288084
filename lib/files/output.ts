import type { Dirent } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import { expectString } from '../options/validation.js';
import { directoryInPlace, refusal } from './errors.js';
import { mkdir, type OpenFile, open, opendir, rm, rmdir, stat } from './fs.js';
import { JOURNAL_FILE } from './journal.js';
import { expectLockFile, LOCK_FILE } from './lock.js';
import { isModelFile } from './model-files.js';
import { discard, isTemporaryName, Places, temporaryPath } from './places.js';
import { finishPublication, publish, type StagedFile } from './publication.js';

/** A file to be written: its name inside the directory, and what writes its contents from the start. */
export interface OutputFile {
  name: string;
  write(file: OpenFile): Promise<void>;
}

/**
 * Does work that writes to a directory, which is made ready first: it is created where needed, and a write is tried. Where
 * the directory is refused or the work fails, what was created is removed again, as far as nothing is in it.
 *
 * @param path the directory
 * @param options as prepareOutputDirectory
 * @throws BertuneError OUTPUT_REFUSED; what `work` throws
 */
export async function withOutputDirectory<T>(
  path: string,
  options: { overwrite?: boolean; files?: readonly string[] },
  work: () => Promise<T>,
): Promise<T> {
  const made = await prepareOutputDirectory(path, options);
  try {
    return await work();
  } catch (cause) {
    await removeDirectories(made);
    throw cause;
  }
}

/**
 * Makes sure that files can be written to a directory: creates it where needed and tries a write. What was created is
 * removed again when the directory is refused.
 *
 * @param path the directory
 * @param options.overwrite whether a directory that is not empty will do; nothing in it is removed. Defaults to false.
 * @param options.files names of the files that will be written there, as expectFilePlaces. Defaults to none.
 * @returns the directories that were created, outermost first
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function prepareOutputDirectory(
  path: string,
  options: { overwrite?: boolean; files?: readonly string[] } = {},
): Promise<string[]> {
  const directory = resolve(expectString('output', path));
  const made: string[] = [];
  try {
    await makeDirectories(directory, made);
    expectLockFile(join(directory, LOCK_FILE));
    if (made.length === 0 && !options.overwrite && !(await isEmpty(directory))) {
      throw new BertuneError(
        'OUTPUT_REFUSED',
        `The output directory ${path} is not empty; choose another, or add ${option('overwrite', true)} to write there anyway`,
      );
    }
    await expectFilePlaces(path, options.files ?? []);
    await probe(directory);
    return made;
  } catch (cause) {
    await removeDirectories(made);
    throw refusal(path, cause);
  }
}

/**
 * Checks that files can have their names in a directory: before the work that makes them, not after it.
 *
 * @param names as in writeFilesAtomic
 * @throws BertuneError OUTPUT_REFUSED for a directory in the place of one, or a link or a file in the place of a
 *   subdirectory
 */
export async function expectFilePlaces(directory: string, names: readonly string[]): Promise<void> {
  try {
    await using places = await Places.open(directory, names);
    for (const name of names) {
      const found = await stat(places.path(name)).catch(() => undefined);
      if (found?.isDirectory()) throw directoryInPlace(join(directory, name));
    }
  } catch (cause) {
    throw refusal(directory, cause);
  }
}

/**
 * Writes files to a directory, all or none: each under a temporary name, flushed to the disk, then renamed. Readers see
 * the old file or the new one, never half of one; whoever reads several with readSettled sees all the old ones or all the
 * new ones, also after the process dies half-way. Creates directories where needed. On failure nothing is left behind,
 * and files that had been there are as they were.
 *
 * @param directory where to write; no two processes may at a time
 * @param files in the order in which they are to appear; a name may lead into a subdirectory: `base/config.json`
 * @param options.remove names of files that are to go as these appear. Defaults to none.
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function writeFilesAtomic(
  directory: string,
  files: readonly OutputFile[],
  options: { remove?: readonly string[] } = {},
): Promise<void> {
  const root = resolve(directory);
  const { remove = [] } = options;
  const made: string[] = [];
  const written: StagedFile[] = [];
  let places: Places | undefined;
  try {
    await makeDirectories(root, made);
    const inside = new Set(files.map(({ name }) => dirname(name)).filter((name) => name !== '.'));
    for (const name of inside) await makeInside(join(root, name), made);
    places = await Places.open(root, [...files.map(({ name }) => name), ...remove]);
    // No journal is about others, and there may be that of a writer at work.
    if (files.some(({ name }) => isModelFile(name))) {
      for (const name of ['.', ...inside]) await finishPublication(join(root, name));
    }
    for (const file of files) {
      const staged = { temporary: temporaryPath(root), name: file.name };
      const handle = await open(staged.temporary, 'wx');
      written.push(staged);
      try {
        await file.write(handle);
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
    await publish(places, written, remove);
  } catch (cause) {
    for (const { temporary } of written) await discard(temporary);
    await removeDirectories(made);
    throw refusal(directory, places?.named(cause) ?? cause);
  } finally {
    await places?.[Symbol.asyncDispose]();
  }
}

/**
 * Writes a file under a temporary name, flushes it to the disk and renames it: readers see the old file or the new one.
 * Creates the directory where needed.
 *
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await writeFilesAtomic(dirname(expectString('path', path)), [dataFile(basename(path), data)]);
}

/**
 * Writes a value as JSON with writeFileAtomic, as formatJson lays it out.
 *
 * @param options.sortKeys whether keys are sorted. Defaults to false.
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function writeJson(path: string, value: unknown, options: { sortKeys?: boolean } = {}): Promise<void> {
  await writeFileAtomic(path, formatJson(value, options));
}

/**
 * A value as JSON text: indent 2, a newline at the end, as Hugging Face's tools lay it out.
 *
 * @param options.sortKeys whether keys are sorted. Defaults to false.
 * @param options.floats keys of the outermost object whose whole numbers are written as 1.0, because a reader in Python
 *   tells it from 1. Defaults to none.
 */
export function formatJson(value: unknown, options: { sortKeys?: boolean; floats?: readonly string[] } = {}): string {
  const text = JSON.stringify(value, options.sortKeys ? sortKeys : undefined, 2);
  const floats = options.floats ?? [];
  const whole = /^( {2}"(\w+)": -?\d+)(,?)$/gm;
  return `${text.replace(whole, (line, entry, key, comma) => (floats.includes(key) ? `${entry}.0${comma}` : line))}\n`;
}

/** An OutputFile of data that is already in memory. */
export function dataFile(name: string, data: string | Uint8Array): OutputFile {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  return { name, write: (file) => writeFully(file, bytes) };
}

/**
 * Writes all of `bytes`.
 *
 * @param position first byte of the file to write. Defaults to the file's current position
 */
export async function writeFully(file: OpenFile, bytes: Uint8Array, position?: number): Promise<void> {
  const chunk = 16 * 2 ** 20;
  for (let done = 0; done < bytes.length; ) {
    const at = position === undefined ? undefined : position + done;
    done += (await file.write(bytes, done, Math.min(chunk, bytes.length - done), at)).bytesWritten;
  }
}

/** JSON.stringify's replacer. Object.fromEntries keeps a key named __proto__, an assignment would not. */
function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** As mkdir -p, noting in `made` each directory as it comes to be, outermost first. */
export async function makeDirectories(directory: string, made: string[]): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (found?.isDirectory()) return;
  if (found) throw new BertuneError('OUTPUT_REFUSED', `Expected a directory at ${directory} but found a file there`);
  if (dirname(directory) !== directory) await makeDirectories(dirname(directory), made);
  try {
    await mkdir(directory);
    made.push(directory);
  } catch (cause) {
    // Another process may have made it in between.
    const now = await stat(directory).catch(() => undefined);
    if (!now?.isDirectory()) throw cause;
  }
}

/** Makes a directory inside one that is there, unless something is there already: Places looks at what it is. */
async function makeInside(directory: string, made: string[]): Promise<void> {
  const isNew = await mkdir(directory).then(
    () => true,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw cause;
      return false;
    },
  );
  if (isNew) made.push(directory);
}

/** Removes directories innermost first, as far as they are empty. */
export async function removeDirectories(made: readonly string[]): Promise<void> {
  for (const directory of [...made].reverse()) await rmdir(directory).catch(() => undefined);
}

/** Whether there is nothing in it but what a process that was killed may have left. */
async function isEmpty(directory: string): Promise<boolean> {
  for await (const entry of await opendir(directory)) {
    // What else they may be is refused by name.
    if (entry.name !== LOCK_FILE && entry.name !== JOURNAL_FILE && !isLeftover(entry)) return false;
  }
  return true;
}

/** Whether it is a file or a checkpoint that somebody was writing, and died; a link in the place of one counts too. */
function isLeftover(entry: Dirent): boolean {
  if (isTemporaryName(entry.name)) return !entry.isDirectory();
  return isTemporaryCheckpoint(entry.name) && (entry.isDirectory() || entry.isSymbolicLink());
}

/** Whether a name is one under which a checkpoint of a run is written. */
function isTemporaryCheckpoint(name: string): boolean {
  return /^\.checkpoint-\d+\.[0-9a-f]{16}\.tmp$/.test(name);
}

/** Permission bits say nothing to the superuser, nor of a read-only or full disk: only a write tells. */
async function probe(directory: string): Promise<void> {
  const path = temporaryPath(directory);
  const file = await open(path, 'wx');
  try {
    await writeFully(file, Buffer.from('bertune'));
  } finally {
    await file.close().finally(() => discard(path));
  }
}

/**
 * Finishes what a process that was killed had begun to publish in a directory, and removes what else it left.
 *
 * @param directory locked, so that none of it is still being written
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function removeLeftovers(directory: string): Promise<void> {
  try {
    await finishPublication(directory);
    for await (const entry of await opendir(directory)) {
      // Of a link, the link alone.
      if (isLeftover(entry)) await rm(join(directory, entry.name), { recursive: true, force: true });
    }
  } catch (cause) {
    throw refusal(directory, cause);
  }
}

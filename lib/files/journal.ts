import { constants } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError } from '../errors.js';
import { lstat, type OpenFile, open, rename, stat } from './fs.js';
import { isSavedFile, MODEL_FILES, OWN_BASE } from './model-files.js';
import { discard, isTemporaryName, temporaryPath } from './places.js';

/*
 * The journal of a directory whose files are being replaced together. From the moment that it has its name the new files
 * are those of the directory: readers look for them where the journal says, read again where it changes under them, and the
 * next writer finishes what it says.
 */

export const JOURNAL_FILE = '.bertune-journal.json';

/** What is still to be done in a directory. */
export interface Journal {
  /** Both in the directory; the second may lie in its `base/`. */
  rename: [temporary: string, name: string][];
  remove: string[];
}

/** Inode numbers, by which a journal knows that it is where it was written: a copy, a clone or an archive has others. */
interface Origin {
  directory: string;
  journal: string;
}

/** No journal is nearly as long. */
const MAX_BYTES = 64 * 1024;

/** A link is not followed, and opening a pipe does not wait. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Writes the journal of a directory, flushed. @throws what the file system says */
export async function writeJournal(directory: string, { rename: renames, remove }: Journal): Promise<void> {
  const temporary = temporaryPath(directory);
  try {
    const file = await open(temporary, 'wx');
    try {
      const origin = await originOf(directory, file);
      await file.writeFile(JSON.stringify({ ...origin, rename: renames, remove }));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(directory, JOURNAL_FILE));
  } catch (cause) {
    await discard(temporary);
    throw cause;
  }
}

/**
 * Reads the journal of a directory.
 *
 * @returns null where there is none; 'foreign' for one that was not written here, or is none at all: nobody obeys it;
 *   'copied' for a foreign one with files that it lists beside it: the directory is a copy of one in which a save was
 *   interrupted, and has files of two models
 */
export async function readJournal(directory: string): Promise<Journal | 'foreign' | 'copied' | null> {
  const path = join(directory, JOURNAL_FILE);
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return null;
  if (!found.isFile()) return 'foreign';
  const file = await open(path, OPEN_FLAGS).catch(({ code }: NodeJS.ErrnoException) => code);
  // Its writer has finished in between.
  if (file === 'ENOENT') return null;
  if (typeof file !== 'object') return 'foreign';
  try {
    const json = await parseJournal(file);
    if (json === undefined) return 'foreign';
    const staged = await Promise.all(
      json.rename.map(([temporary]) => lstat(join(directory, temporary)).catch(() => undefined)),
    );
    if (staged.some((status) => status && !status.isFile())) return 'foreign';
    const here = await originOf(directory, file);
    if (json.directory === here.directory && json.journal === here.journal) return json;
    return staged.some((status) => status) ? 'copied' : 'foreign';
  } finally {
    await file.close();
  }
}

/** What it holds, where that is what writeJournal writes. */
async function parseJournal(file: OpenFile): Promise<(Journal & Origin) | undefined> {
  const status = await file.stat();
  if (!status.isFile() || status.size > MAX_BYTES) return undefined;
  const bytes = Buffer.alloc(status.size);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  let json: Partial<Journal & Origin> | null;
  try {
    json = JSON.parse(bytes.toString('utf8', 0, bytesRead)) as typeof json;
  } catch {
    return undefined;
  }
  const { directory, journal, rename: renames, remove } = json ?? {};
  if (typeof directory !== 'string' || typeof journal !== 'string') return undefined;
  if (!Array.isArray(renames) || !Array.isArray(remove) || !remove.every(isSavedFile)) return undefined;
  for (const pair of renames as unknown[]) {
    if (!Array.isArray(pair) || !isTemporaryName(pair[0]) || !isSavedFile(pair[1])) return undefined;
  }
  return { directory, journal, rename: renames, remove };
}

/** Not the device's number, which may change when the machine starts anew. */
async function originOf(directory: string, journal: OpenFile): Promise<Origin> {
  const [inDirectory, ofJournal] = await Promise.all([stat(directory, { bigint: true }), journal.inode()]);
  return { directory: String(inDirectory.ino), journal: String(ofJournal) };
}

/**
 * Where the file is that a path names: a writer that is giving its files their names, or died over it, may have left it
 * under a temporary one. Nothing is changed: to finish that work is for the next writer.
 *
 * @returns the path itself for all but these; undefined for a file that is to go
 * @throws BertuneError CHECKPOINT_INVALID in a copy of a directory in which a save was interrupted
 */
export async function locate(path: string): Promise<string | undefined> {
  const whole = resolve(path);
  const [directory, name] = [dirname(whole), basename(whole)];
  if (!MODEL_FILES.includes(name)) return path;
  const inOwnBase = basename(directory) === OWN_BASE;
  const places = [[directory, name] as const];
  if (inOwnBase) places.push([dirname(directory), `${OWN_BASE}/${name}`]);
  for (const [place, listed] of places) {
    const journal = await readJournal(place);
    if (journal === 'copied') throw mixture(place);
    if (journal === null || journal === 'foreign') continue;
    const [temporary] = journal.rename.find(([, to]) => to === listed) ?? [];
    if (temporary !== undefined && (await isThere(join(place, temporary)))) return join(place, temporary);
    if (journal.remove.includes(listed)) return undefined;
  }
  return path;
}

function mixture(directory: string): BertuneError {
  return new BertuneError(
    'CHECKPOINT_INVALID',
    `${directory} is a copy of a directory in which a save was interrupted; its files may come from two models. Save to ` +
      `the original again and copy that, or delete ${JOURNAL_FILE} and .bertune-*.tmp from the copy to use the rest as it is`,
  );
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

/** What tells that a file of a model's directory was replaced, or is about to be. */
const WATCHED = [...MODEL_FILES, JOURNAL_FILE];

/** Milliseconds in which the files are expected to stay the same for as long as they are read. */
const PATIENCE = 30_000;

/**
 * Reads the files of a model's directory that somebody may be writing to, or was when the process died: all the old ones
 * or all the new ones. Reads again where they changed meanwhile. Nothing is written, and nobody is waited for who died.
 *
 * @param read may be called more than once; looks for files as openFile does
 * @throws BertuneError CHECKPOINT_INVALID where the directory does not come to rest; what `read` throws
 */
export async function readSettled<T>(directory: string, read: () => Promise<T>): Promise<T> {
  const until = performance.now() + PATIENCE;
  for (;;) {
    const before = await stateOf(directory);
    const result = await read().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if ((await stateOf(directory)) === before) {
      if ('error' in result) throw result.error;
      return result.value;
    }
    if (performance.now() > until) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected the files of a model in ${directory} but they keep changing`,
      );
    }
    await sleep(5);
  }
}

/** Changes with every file that is replaced. */
async function stateOf(directory: string): Promise<string> {
  const names = [...WATCHED, ...WATCHED.map((name) => join(OWN_BASE, name))];
  // The weights under an adapter are replaced together with it.
  if (basename(resolve(directory)) === OWN_BASE) names.push(join('..', JOURNAL_FILE));
  const states = names.map(async (name) => {
    const found = await stat(join(directory, name), { bigint: true }).catch(() => undefined);
    return found ? `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}` : '';
  });
  return (await Promise.all(states)).join();
}

import { constants } from 'node:fs';
import { join } from 'node:path';
import { lstat, type OpenFile, open, rename, stat } from './fs.js';
import { isModelFile } from './model-files.js';
import { discard, isTemporaryName, temporaryPath } from './temporary.js';

/*
 * The journal of a directory whose files are being replaced together. From the moment that it has its name the new files
 * are those of the directory: readers look for them where the journal says, and the next writer finishes what it says.
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
  if (!Array.isArray(renames) || !Array.isArray(remove) || !remove.every(isModelFile)) return undefined;
  for (const pair of renames as unknown[]) {
    if (!Array.isArray(pair) || !isTemporaryName(pair[0]) || !isModelFile(pair[1])) return undefined;
  }
  return { directory, journal, rename: renames, remove };
}

/** Not the device's number, which may change when the machine starts anew. */
async function originOf(directory: string, journal: OpenFile): Promise<Origin> {
  const [inDirectory, ofJournal] = await Promise.all([stat(directory, { bigint: true }), journal.inode()]);
  return { directory: String(inDirectory.ino), journal: String(ofJournal) };
}

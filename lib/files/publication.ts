import { basename, join } from 'node:path';
import { BertuneError } from '../errors.js';
import { directoryInPlace } from './errors.js';
import { link, lstat, readFile, rename, rm, stat } from './fs.js';
import { JOURNAL_FILE, type Journal, readJournal, writeJournal } from './journal.js';
import { discard, Places, syncDirectory, temporaryPath } from './places.js';

/*
 * Several files that take their names at once. Where old ones are replaced, what is to be done is written down first, in
 * a journal: from the moment that has its name the new files are those of the directory, and the next writer finishes
 * the work of a process that died over it.
 */

/** Files up to this many bytes are compared with the ones they would replace. */
const COMPARED_BYTES = 4 * 2 ** 20;

/** What link() says where a file system has no links. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'];

/** A file that is written and flushed under a temporary name. */
export interface StagedFile {
  /** Its path now, in the directory itself. */
  temporary: string;
  /** Its name to be, which may lie in a subdirectory that is there: `base/config.json`. */
  name: string;
}

/**
 * Gives staged files their names and removes others. Fails as a whole: then the old files are back, and no staged one is
 * left. Files that are the same already are not touched, so that most often a single rename is all there is to it.
 *
 * @param remove names that are to go with it
 * @throws what the file system says; BertuneError OUTPUT_REFUSED for a directory in the way
 */
export async function publish(places: Places, staged: readonly StagedFile[], remove: readonly string[]): Promise<void> {
  const appearing: string[] = [];
  const replaced: string[] = [];
  const changed: StagedFile[] = [];
  for (const file of staged) {
    const target = places.path(file.name);
    const found = await statOf(target);
    if (found?.isDirectory()) throw directoryInPlace(join(places.directory, file.name));
    if (found && (await isSame(file.temporary, target))) {
      await discard(file.temporary);
      continue;
    }
    changed.push(file);
    (found ? replaced : appearing).push(file.name);
  }
  const removed: string[] = [];
  for (const name of remove) if (await statOf(places.path(name))) removed.push(name);
  const lost = [...replaced, ...removed];
  if (lost.length > 0 && changed.length + removed.length > 1) await replaceTogether(places, changed, removed, lost);
  else await renameAll(places, changed, removed, appearing);
}

/**
 * Finishes the work of a process that died while it gave files their names. Nobody may write to the directory meanwhile.
 *
 * @throws what the file system says; BertuneError OUTPUT_REFUSED for a journal that was not written here
 */
export async function finishPublication(directory: string): Promise<void> {
  const journal = await readJournal(directory);
  if (journal === null) return;
  const path = join(directory, JOURNAL_FILE);
  if (journal === 'foreign' || journal === 'copied') {
    throw new BertuneError(
      'OUTPUT_REFUSED',
      `Cannot write to ${directory}: ${path} was not written by a save into this directory; it came with a copy, or ` +
        'something else made it. Delete that file first',
    );
  }
  await using places = await Places.open(directory, namesOf(journal));
  try {
    await carryOut(places, journal);
  } catch (cause) {
    throw places.named(cause);
  }
  await rm(path, { force: true });
}

/** Without a journal: nothing is replaced, or one file alone. */
async function renameAll(
  places: Places,
  staged: readonly StagedFile[],
  removed: readonly string[],
  appearing: readonly string[],
): Promise<void> {
  try {
    for (const { temporary, name } of staged) await rename(temporary, places.path(name));
    for (const name of removed) await rm(places.path(name), { force: true });
    await places.sync();
  } catch (cause) {
    for (const name of appearing) await discard(places.path(name));
    throw cause;
  }
}

/** With a journal. The names are all those of isSavedFile, which alone are read back from one. */
async function replaceTogether(
  places: Places,
  staged: readonly StagedFile[],
  removed: readonly string[],
  lost: readonly string[],
): Promise<void> {
  const { directory } = places;
  const journal: Journal = {
    rename: staged.map(({ temporary, name }) => [basename(temporary), name]),
    remove: [...removed],
  };
  const path = join(directory, JOURNAL_FILE);
  const backups = new Map<string, string>();
  let canGoBack = false;
  try {
    canGoBack = await backUp(places, lost, backups);
    await writeJournal(directory, journal);
    await syncDirectory(directory);
  } catch (cause) {
    await discard(path);
    for (const backup of backups.values()) await discard(backup);
    throw cause;
  }
  try {
    await carryOut(places, journal);
  } catch (cause) {
    // Without the journal the old files are the directory's again; where it cannot be removed, the new ones are.
    if (canGoBack) await goBack(places, path, journal, backups);
    throw cause;
  }
  // Left behind it does no harm: all of it is done.
  await discard(path);
  for (const backup of backups.values()) await discard(backup);
}

/** Gives the old files second names. @returns whether the file system can */
async function backUp(places: Places, lost: readonly string[], backups: Map<string, string>): Promise<boolean> {
  for (const name of lost) {
    const backup = temporaryPath(places.directory);
    try {
      await link(places.path(name), backup);
      backups.set(name, backup);
    } catch (cause) {
      if (!NO_LINKS.includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
      return false;
    }
  }
  return true;
}

/** As often as need be: what is done already is passed over. */
async function carryOut(places: Places, { rename: renames, remove }: Journal): Promise<void> {
  for (const [temporary, name] of renames) {
    await rename(join(places.directory, temporary), places.path(name)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT') throw cause;
    });
  }
  for (const name of remove) await rm(places.path(name), { force: true });
  await places.sync();
}

async function goBack(
  places: Places,
  path: string,
  journal: Journal,
  backups: ReadonlyMap<string, string>,
): Promise<void> {
  try {
    await rm(path, { force: true }).catch(() => rm(path, { force: true }));
    for (const [, name] of journal.rename) {
      // Renaming one name of a file to another of the same file does nothing, and leaves both.
      if (!backups.has(name)) await rm(places.path(name), { force: true });
    }
    for (const [name, backup] of backups) {
      await rename(backup, places.path(name));
      await discard(backup);
    }
    await places.sync();
  } catch {
    // The disk fails altogether. What went wrong first is what is said.
  }
}

function namesOf({ rename: renames, remove }: Journal): string[] {
  return [...renames.map(([, name]) => name), ...remove];
}

async function isSame(temporary: string, target: string): Promise<boolean> {
  const [mine, there] = await Promise.all([lstat(temporary), lstat(target)]);
  if (!there.isFile() || mine.size !== there.size || mine.size > COMPARED_BYTES) return false;
  const [a, b] = await Promise.all([readFile(temporary), readFile(target).catch(() => undefined)]);
  return b !== undefined && a.equals(b);
}

async function statOf(path: string) {
  return stat(path).catch(() => lstat(path).catch(() => undefined));
}

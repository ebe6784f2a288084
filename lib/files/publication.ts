import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { BertuneError } from '../errors.js';
import { link, lstat, open, readFile, rename, rm, stat } from './fs.js';
import { readJsonObject } from './input.js';
import { isInside } from './inside.js';

/*
 * Several files that take their names at once. Where old ones are replaced, what is to be done is written down first, in
 * a journal: from the moment that has its name the new files are those of the directory, and whoever finds it finishes
 * the work of a process that died over it.
 */

/** What is still to be done in a directory. */
export const JOURNAL_FILE = '.bertune-journal.json';

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

/** Names in the directory. */
interface Journal {
  rename: [temporary: string, name: string][];
  remove: string[];
}

/**
 * Gives staged files their names and removes others. Fails as a whole: then the old files are back, and no staged one is
 * left. Files that are the same already are not touched, so that most often a single rename is all there is to it.
 *
 * @param remove names that are to go with it
 * @throws what the file system says; BertuneError OUTPUT_REFUSED for a directory in the way
 */
export async function publish(
  directory: string,
  staged: readonly StagedFile[],
  remove: readonly string[],
): Promise<void> {
  const appearing: string[] = [];
  const replaced: string[] = [];
  const changed: StagedFile[] = [];
  for (const file of staged) {
    const target = join(directory, file.name);
    const found = await statOf(target);
    if (found?.isDirectory()) {
      throw new BertuneError('OUTPUT_REFUSED', `Expected to write the file ${target} but found a directory there`);
    }
    if (found && (await isSame(file.temporary, target))) {
      await discard(file.temporary);
      continue;
    }
    changed.push(file);
    (found ? replaced : appearing).push(file.name);
  }
  const removed: string[] = [];
  for (const name of remove) if (await statOf(join(directory, name))) removed.push(name);
  const lost = [...replaced, ...removed];
  if (lost.length > 0 && changed.length + removed.length > 1) await replaceTogether(directory, changed, removed, lost);
  else await renameAll(directory, changed, removed, appearing);
}

/** Whether a process that died left work in a directory. */
export async function isUnfinished(directory: string): Promise<boolean> {
  return (await statOf(join(directory, JOURNAL_FILE))) !== undefined;
}

/**
 * Finishes the work of a process that died while it gave files their names. Nobody may write to the directory meanwhile.
 *
 * @throws what the file system says; BertuneError CHECKPOINT_INVALID for a journal that is none of ours
 */
export async function finishPublication(directory: string): Promise<void> {
  const path = join(directory, JOURNAL_FILE);
  if (!(await isUnfinished(directory))) return;
  const json = await readJsonObject(path).catch((cause: unknown) => {
    // The one that began it has finished it in between.
    if (cause instanceof BertuneError && cause.code === 'NOT_FOUND') return undefined;
    throw cause;
  });
  if (json === undefined) return;
  await carryOut(directory, expectJournal(json, path));
  await rm(path, { force: true });
}

/** Without a journal: nothing is replaced, or one file alone. */
async function renameAll(
  directory: string,
  staged: readonly StagedFile[],
  removed: readonly string[],
  appearing: readonly string[],
): Promise<void> {
  try {
    for (const { temporary, name } of staged) await rename(temporary, join(directory, name));
    for (const name of removed) await rm(join(directory, name), { force: true });
    await syncDirectories(directory, [...staged.map(({ name }) => name), ...removed]);
  } catch (cause) {
    for (const name of appearing) await discard(join(directory, name));
    throw cause;
  }
}

async function replaceTogether(
  directory: string,
  staged: readonly StagedFile[],
  removed: readonly string[],
  lost: readonly string[],
): Promise<void> {
  const journal: Journal = {
    rename: staged.map(({ temporary, name }) => [temporary.slice(directory.length + 1), name]),
    remove: [...removed],
  };
  const path = join(directory, JOURNAL_FILE);
  const backups = new Map<string, string>();
  let canGoBack = false;
  try {
    canGoBack = await backUp(directory, lost, backups);
    await writeJournal(directory, path, journal);
  } catch (cause) {
    await discard(path);
    for (const backup of backups.values()) await discard(backup);
    throw cause;
  }
  try {
    await carryOut(directory, journal);
  } catch (cause) {
    // Without the journal the old files are the directory's again; where it cannot be removed, the new ones are.
    if (canGoBack) await goBack(directory, path, journal, backups);
    throw cause;
  }
  // Left behind it does no harm: all of it is done.
  await discard(path);
  for (const backup of backups.values()) await discard(backup);
}

/** Gives the old files second names. @returns whether the file system can */
async function backUp(directory: string, lost: readonly string[], backups: Map<string, string>): Promise<boolean> {
  for (const name of lost) {
    const backup = temporaryPath(directory);
    try {
      await link(join(directory, name), backup);
      backups.set(name, backup);
    } catch (cause) {
      if (!NO_LINKS.includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
      return false;
    }
  }
  return true;
}

async function writeJournal(directory: string, path: string, journal: Journal): Promise<void> {
  const temporary = temporaryPath(directory);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(JSON.stringify(journal));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await discard(temporary);
    throw cause;
  }
  await syncDirectory(directory);
}

/** As often as need be: what is done already is passed over. */
async function carryOut(directory: string, { rename: renames, remove }: Journal): Promise<void> {
  for (const [temporary, name] of renames) {
    await rename(join(directory, temporary), join(directory, name)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT') throw cause;
    });
  }
  for (const name of remove) await rm(join(directory, name), { force: true });
  await syncDirectories(directory, [...renames.map(([, name]) => name), ...remove]);
}

async function goBack(
  directory: string,
  path: string,
  journal: Journal,
  backups: ReadonlyMap<string, string>,
): Promise<void> {
  try {
    await rm(path, { force: true }).catch(() => rm(path, { force: true }));
    for (const [, name] of journal.rename) {
      // Renaming one name of a file to another of the same file does nothing, and leaves both.
      if (!backups.has(name)) await rm(join(directory, name), { force: true });
    }
    for (const [name, backup] of backups) {
      await rename(backup, join(directory, name));
      await discard(backup);
    }
    await syncDirectory(directory);
  } catch {
    // The disk fails altogether. What went wrong first is what is said.
  }
}

function expectJournal(journal: Record<string, unknown>, path: string): Journal {
  const names = (value: unknown): value is string[] => Array.isArray(value) && value.every(isInside);
  const sound =
    names(journal.remove) &&
    Array.isArray(journal.rename) &&
    journal.rename.every((pair) => names(pair) && pair.length === 2 && /^\.bertune-[0-9a-f]+\.tmp$/.test(pair[0]!));
  if (!sound) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected the names of files in ${path} but found something else`);
  }
  return journal as unknown as Journal;
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

async function syncDirectories(directory: string, names: readonly string[]): Promise<void> {
  for (const path of new Set([directory, ...names.map((name) => dirname(join(directory, name)))])) {
    await syncDirectory(path);
  }
}

/** Removes a file that means nothing any more. Once more where that fails; what is left then goes with the next save. */
export async function discard(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => rm(path, { force: true }).catch(() => undefined));
}

/** A name for a file that is still being written. */
export function temporaryPath(directory: string): string {
  return join(directory, `.bertune-${randomBytes(8).toString('hex')}.tmp`);
}

/** What flushing a directory says where the system does not do it. */
const NO_FLUSH = ['EINVAL', 'EISDIR', 'EPERM', 'EACCES', 'EBADF', 'ENOTSUP', 'ENOSYS'];

/**
 * Makes renames in a directory durable, where the system lets a directory be flushed.
 *
 * @throws what the file system says where it fails to
 */
export async function syncDirectory(directory: string): Promise<void> {
  const unsupported = (cause: NodeJS.ErrnoException) => {
    if (!NO_FLUSH.includes(cause.code ?? '')) throw cause;
    return undefined;
  };
  const handle = await open(directory, 'r').catch(unsupported);
  try {
    await handle?.sync().catch(unsupported);
  } finally {
    await handle?.close();
  }
}

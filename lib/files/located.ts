import { basename, dirname, join, resolve } from 'node:path';
import { BertuneError } from '../errors.js';
import { lstat } from './fs.js';
import { JOURNAL_FILE, readJournal } from './journal.js';
import { MODEL_FILES, OWN_BASE } from './model-files.js';

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

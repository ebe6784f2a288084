import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { lstat, type OpenFile, open, readdir } from '../files/fs.js';
import { OWN_FILE_FLAGS, tryLock } from './lock.js';

/** A blob that is still coming. */
export interface PartialBlob {
  readonly file: OpenFile;
  readonly path: string;
  /** Whether a later attempt or process finds it and goes on with it. */
  readonly shared: boolean;
}

/**
 * Opens the file that a blob comes into, for its one writer to close: the shared one, with what has come before, where it
 * can be locked and is a file of its own; otherwise an empty one that nobody else knows.
 *
 * @param blob where the whole file is to appear; its directory exists
 */
export async function openPartial(blob: string): Promise<PartialBlob> {
  const path = blob + ENDING;
  const file = await open(path, OWN_FILE_FLAGS).catch(() => undefined);
  if (file !== undefined) {
    if (tryLock(file.descriptor) && (await isOwn(file, path))) return { file, path, shared: true };
    await file.close();
  }
  const own = `${blob}.${randomBytes(4).toString('hex')}${ENDING}`;
  return { file: await open(own, 'wx+'), path: own, shared: false };
}

/** Bytes of all files that a blob is coming into. They grow as a writer gets on. */
export async function partialSize(blob: string): Promise<number> {
  const names = await readdir(dirname(blob)).catch(() => []);
  const partial = names.filter((name) => name.startsWith(basename(blob)) && name.endsWith(ENDING));
  const sizes = partial.map(async (name) => (await lstat(join(dirname(blob), name)).catch(() => undefined))?.size ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** An ending of our own: Python's processes write theirs beside it. */
const ENDING = '.bertune.incomplete';

/** Whether the open file still has its name, and has no other, under which it may be anybody's. */
async function isOwn(file: OpenFile, path: string): Promise<boolean> {
  const open = await file.stat();
  const named = await lstat(path).catch(() => undefined);
  return open.nlink === 1 && named?.isFile() === true && named.ino === open.ino && named.dev === open.dev;
}

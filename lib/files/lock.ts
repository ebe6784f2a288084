import { AsyncLocalStorage } from 'node:async_hooks';
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError } from '../errors.js';
import { loadNative } from '../native.js';
import { refusal } from './output.js';

/** The file in an output directory that is locked by who writes there. */
export const LOCK_FILE = '.bertune.lock';

/** Directories that the work under way, which may call for more of them, holds. */
const held = new AsyncLocalStorage<ReadonlySet<string>>();

/** Milliseconds that a holder is waited for who says that it is done soon, or has not said yet who it is. */
const PATIENCE = 10_000;
const POLL_MILLISECONDS = 2;

/** What the lock file says of who holds it. */
interface Holder {
  pid: number;
  host: string;
  since: string;
  /** Whether it only finishes what a process that died had begun. */
  brief: boolean;
}

/**
 * Does work that writes to a directory, which nobody else does meanwhile. The kernel frees the lock of a process that
 * dies, so that none is left behind; it holds among the processes of a machine. Work inside `work` may take it again.
 *
 * @param directory exists
 * @param options.brief whether the work is so short that others are to wait for it. Defaults to false: they are refused.
 * @throws BertuneError OUTPUT_REFUSED where someone else is writing there, or no file can be made; what `work` throws
 */
export async function withDirectoryLock<T>(
  directory: string,
  work: () => Promise<T>,
  options: { brief?: boolean } = {},
): Promise<T> {
  const key = resolve(directory);
  const mine = held.getStore() ?? new Set();
  if (mine.has(key)) return work();
  const path = join(directory, LOCK_FILE);
  const fd = await takeInTime(directory, path, options.brief ?? false);
  try {
    return await held.run(new Set([...mine, key]), work);
  } finally {
    // Removed before it is free: whoever opened it in between finds that it is no longer the file of that name.
    removeLock(path);
    quietly(() => closeSync(fd));
  }
}

/** The lock file, open and locked, once those are gone who hold it briefly. */
async function takeInTime(directory: string, path: string, brief: boolean): Promise<number> {
  for (const until = performance.now() + PATIENCE; ; ) {
    const fd = take(directory, path, brief);
    if (fd !== undefined) return fd;
    const holder = holderOf(path);
    if (holder?.brief === false || performance.now() > until) throw inUse(directory, holder);
    await sleep(POLL_MILLISECONDS);
  }
}

/** Once more where that fails, as discard() does. */
function removeLock(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    quietly(() => rmSync(path, { force: true }));
  }
}

/** A lock file that stays says nothing, the lock itself is the kernel's; and a file is closed also where that fails. */
function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // The work under the lock has said what is wrong with the disk, or nothing is.
  }
}

/**
 * The lock file, open and locked; undefined where someone else holds it. Synchronous, so that Node closes it when a worker
 * thread is terminated.
 */
function take(directory: string, path: string, brief: boolean): number | undefined {
  for (;;) {
    const fd = openLock(directory, path);
    let locked = false;
    let taken = false;
    try {
      if (!lock(fd, path)) return undefined;
      locked = isStill(fd, path);
      if (locked) {
        const holder: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString(), brief };
        ftruncateSync(fd);
        writeSync(fd, `${JSON.stringify(holder)}\n`);
        taken = true;
        return fd;
      }
    } catch (cause) {
      if (locked) removeLock(path);
      throw refusal(directory, cause);
    } finally {
      if (!taken) quietly(() => closeSync(fd));
    }
  }
}

/** Whether nobody else holds it. */
function lock(fd: number, path: string): boolean {
  try {
    return loadNative().lockFile(fd);
  } catch (cause) {
    if (!(cause instanceof BertuneError && cause.code === 'OUTPUT_REFUSED')) throw cause;
    throw new BertuneError('OUTPUT_REFUSED', `${cause.message}: ${path}`, { cause });
  }
}

function openLock(directory: string, path: string): number {
  try {
    return openSync(path, 'a+', 0o644);
  } catch (cause) {
    throw refusal(directory, cause);
  }
}

/** Whether the open file is the one at the path, and not one that its holder has just removed. */
function isStill(fd: number, path: string): boolean {
  const named = statSync(path, { throwIfNoEntry: false });
  const open = fstatSync(fd);
  return named !== undefined && named.ino === open.ino && named.dev === open.dev;
}

function inUse(directory: string, holder: Holder | undefined): BertuneError {
  return new BertuneError(
    'OUTPUT_REFUSED',
    `Expected an output directory that nobody writes to but ${directory} is in use by ${describe(holder)}`,
  );
}

function describe(holder: Holder | undefined): string {
  if (holder === undefined) return 'another process';
  if (holder.pid === process.pid) return 'other work of this process';
  return `process ${holder.pid} on ${holder.host}, since ${holder.since}`;
}

/** Who holds the lock; undefined where it has not said so yet, or is gone. */
function holderOf(path: string): Holder | undefined {
  try {
    const { pid, host, since, brief } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    return { pid: Number(pid), host: String(host), since: String(since), brief: brief === true };
  } catch {
    return undefined;
  }
}

import { randomUUID } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError } from '../errors.js';
import { loadNative } from '../native/index.js';
import { refusal } from './errors.js';

/** The file in an output directory that is locked by who writes there. */
export const LOCK_FILE = '.bertune.lock';

/** Milliseconds that a holder is waited for who has not said yet who it is. */
const PATIENCE = 10_000;
const POLL_MILLISECONDS = 2;

/** The file's own contents: made where there is none, never through a link, and opening a pipe does not wait. */
const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** More than any holder writes. */
const MAX_BYTES = 4096;

/** Tells this process's own locks: in another container its process id may be another's. */
const OWN_TOKEN = randomUUID();

/** What the lock file says of who holds it. */
interface Holder {
  pid: number;
  host: string;
  since: string;
  token: string;
}

/**
 * The right to write to a directory, which nobody else has: no other process, and no other work of this one but that which
 * is handed this object. The kernel frees the lock of a process that dies, so that none is left behind; it holds among the
 * processes of a machine.
 */
export class DirectoryLock {
  readonly #path: string;
  readonly #fd: number;
  readonly #directory: BigIntStats;
  /** The work that took its turn last. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
    this.#directory = statSync(directory, { bigint: true });
  }

  /** @throws BertuneError OUTPUT_REFUSED as withDirectoryLock */
  static async take(directory: string): Promise<DirectoryLock> {
    const path = join(directory, LOCK_FILE);
    const fd = await takeInTime(directory, path);
    try {
      return new DirectoryLock(directory, path, fd);
    } catch (cause) {
      release(path, fd);
      throw refusal(directory, cause);
    }
  }

  /** Whether it is the lock of this directory, by whatever path. */
  covers(directory: string): boolean {
    const found = statSync(directory, { bigint: true, throwIfNoEntry: false });
    return found !== undefined && isSame(found, this.#directory);
  }

  /** Does work that writes there once the work before it has ended: one at a time. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Gives it up once the work that waits for its turn has ended. */
  async release(): Promise<void> {
    for (let last: unknown; last !== this.#last; ) {
      last = this.#last;
      await this.#last;
    }
    release(this.#path, this.#fd);
  }
}

/**
 * Does work that writes to a directory, with exclusive access.
 *
 * @param directory exists
 * @param work is given the lock, for what it calls to write there too
 * @throws BertuneError OUTPUT_REFUSED where someone else is writing there, or something is in the lock file's place, or no
 *   file can be made; what `work` throws
 */
export async function withDirectoryLock<T>(directory: string, work: (lock: DirectoryLock) => Promise<T>): Promise<T> {
  const lock = await DirectoryLock.take(directory);
  try {
    return await work(lock);
  } finally {
    await lock.release();
  }
}

/**
 * Checks what is in the place of a lock file, if anything is: a file of its own, which no link leads to or away from.
 *
 * @throws BertuneError OUTPUT_REFUSED naming it
 */
export function expectLockFile(path: string): void {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (found) expectPlain(found, path);
}

function expectPlain(status: BigIntStats, path: string): void {
  if (status.isFile() && status.nlink <= 1n) return;
  throw unusable(
    path,
    status.isSymbolicLink()
      ? 'a symbolic link'
      : status.isFile()
        ? 'a hard link to a file elsewhere'
        : status.isDirectory()
          ? 'a directory'
          : 'no file',
  );
}

function unusable(path: string, what: string): BertuneError {
  return new BertuneError(
    'OUTPUT_REFUSED',
    `Cannot use ${path} as a lock: it is ${what}. Remove it, or choose another output directory`,
  );
}

/** The lock file, open and locked, once those who have not said yet who they are have done so or are gone. */
async function takeInTime(directory: string, path: string): Promise<number> {
  for (const until = performance.now() + PATIENCE; ; ) {
    const { fd, holder } = take(directory, path);
    if (fd !== undefined) return fd;
    if (holder || performance.now() > until) throw inUse(directory, holder);
    await sleep(POLL_MILLISECONDS);
  }
}

/**
 * The lock file, open and locked; or who else holds it, where that is said. Synchronous, so that Node closes it when a
 * worker thread is terminated.
 */
function take(directory: string, path: string): { fd?: number; holder?: Holder } {
  for (;;) {
    expectLockFile(path);
    const fd = openLock(directory, path);
    let mine = false;
    let taken = false;
    try {
      expectPlain(fstatSync(fd, { bigint: true }), path);
      if (!lock(fd, path)) return holding(textOf(fd));
      if (!isStill(fd, path)) continue;
      // Left by a process that died: all of what one writes, the beginning, or nothing.
      if (!/^(\{"pid":|$)/.test(textOf(fd))) throw unusable(path, 'a file of something else');
      mine = true;
      const holder = { pid: process.pid, host: hostname(), since: new Date().toISOString(), token: OWN_TOKEN };
      ftruncateSync(fd);
      writeSync(fd, `${JSON.stringify(holder satisfies Holder)}\n`, 0);
      taken = true;
      return { fd };
    } catch (cause) {
      if (mine) removeLock(path);
      throw refusal(directory, cause);
    } finally {
      if (!taken) quietly(() => closeSync(fd));
    }
  }
}

/** Whether it is free. */
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
    return openSync(path, OPEN_FLAGS, 0o644);
  } catch (cause) {
    throw refusal(directory, cause);
  }
}

/** Removed before it is free: whoever opened it in between finds that it is no longer the file of that name. */
function release(path: string, fd: number): void {
  quietly(() => {
    if (isStill(fd, path)) removeLock(path);
  });
  quietly(() => closeSync(fd));
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

/** Whether the open file is the one at the path, and not one that its holder has just removed. */
function isStill(fd: number, path: string): boolean {
  const named = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return named !== undefined && isSame(named, fstatSync(fd, { bigint: true }));
}

function isSame(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

function textOf(fd: number): string {
  const bytes = Buffer.alloc(MAX_BYTES);
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, MAX_BYTES, 0));
}

function inUse(directory: string, holder: Holder | undefined): BertuneError {
  return new BertuneError(
    'OUTPUT_REFUSED',
    `Expected an output directory that is not in use but ${directory} is being written by ${describe(holder)}`,
  );
}

function describe(holder: Holder | undefined): string {
  if (holder === undefined) return 'another process';
  if (holder.token === OWN_TOKEN) return 'other work of this process';
  return `process ${holder.pid} on ${holder.host}, since ${holder.since}`;
}

/** Who holds the lock, by the text of its file; nobody where it has not said so yet. */
function holding(text: string): { holder?: Holder } {
  try {
    const { pid, host, since, token } = JSON.parse(text) as Record<string, unknown>;
    return { holder: { pid: Number(pid), host: String(host), since: String(since), token: String(token) } };
  } catch {
    return {};
  }
}

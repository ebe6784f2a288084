import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { BertuneError } from '../errors.js';
import { refusal } from './errors.js';
import { link, lstat, type OpenFile, open, readdir, rm } from './fs.js';
import { bootId, isUnlocked, type LeaseHolder, lock, readHolder, writeHolder } from './lease-holder.js';
import { discard, temporaryPath } from './places.js';

/*
 * Leases: the right to do a piece of work, which one worker has at a time, of all that share a directory, over NFS too.
 *
 * A lease is a file that is created exclusively (link), and its owner writes to it every few seconds. The leases of a piece
 * of work are numbered, `NAME.1`, `NAME.2`, ...; the highest counts, and no number is used twice. Whoever finds that the
 * owner of the highest is dead, or has given it up, creates the next one: one of all who try succeeds, and the owner, should
 * it be alive after all, sees that there is a higher one. A lease is never moved or replaced: by the time that is done, it
 * may be one that somebody else has just taken.
 *
 * An owner on this machine is dead when the kernel has freed its lock on the file. One elsewhere is, when it has not written
 * for `seconds`, by the clock of the file server, which sets the times of both its file and one that is written to compare.
 */

/** A lease that is there. */
export interface FoundLease {
  /** Undefined where what is in the file cannot be read. */
  readonly holder: LeaseHolder | undefined;
  /** Whether the work is free: it was given up, or its owner is dead. */
  readonly isFree: boolean;
  /** Whether the owner is on this machine, so that its death is known at once. */
  readonly isNear: boolean;
  /** When it was written, in milliseconds by the clock of the file server. */
  readonly written: number;
}

/** A link is not followed, and opening a pipe does not wait. */
const OPEN_FLAGS = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** What link() says where a file system has no links. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

/** How often an owner writes in the time after which it counts as dead. */
const BEATS = 4;

/** The leases of a directory. */
export class Leases {
  readonly #directory: string;
  readonly #seconds: number;

  /**
   * @param directory is there
   * @param seconds after which an owner that has not written counts as dead
   */
  constructor(directory: string, seconds: number) {
    this.#directory = directory;
    this.#seconds = seconds;
  }

  /** The highest number of each name that has a lease. @throws BertuneError OUTPUT_REFUSED */
  async list(): Promise<Map<string, number>> {
    const numbers = new Map<string, number>();
    const names = await readdir(this.#directory).catch((cause) => {
      throw refusal(this.#directory, cause);
    });
    for (const entry of names) {
      const [, name, digits] = /^([\w-]+)\.([1-9]\d{0,8})$/.exec(entry) ?? [];
      if (name !== undefined) numbers.set(name, Math.max(numbers.get(name) ?? 0, Number(digits)));
    }
    return numbers;
  }

  /**
   * Takes a free piece of work.
   *
   * @param number the highest that its leases have, by `list`; 0: none
   * @returns null where somebody has it, or has taken it in between
   * @throws BertuneError OUTPUT_REFUSED
   */
  async take(name: string, number: number): Promise<Lease | null> {
    try {
      if (number > 0 && !(await this.find(name, number))?.isFree) return null;
      return await this.#create(name, number + 1);
    } catch (cause) {
      throw refusal(this.#directory, cause);
    }
  }

  /** What a lease says, and whether the work is free; undefined where it is gone. */
  async find(name: string, number: number): Promise<FoundLease | undefined> {
    const path = pathOf(this.#directory, name, number);
    const file = await open(path, OPEN_FLAGS).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined;
      throw cause;
    });
    if (file === undefined) return undefined;
    try {
      const status = await file.stat();
      const holder = await readHolder(file);
      const isNear = holder !== undefined && holder.boot !== null && holder.boot === bootId();
      const found = { holder, isNear, written: status.mtimeMs };
      if (holder?.released) return { ...found, isFree: true };
      const isFree = isNear ? isUnlocked(file) : (await this.#now()) - status.mtimeMs > 1000 * this.#seconds;
      return { ...found, isFree };
    } finally {
      await file.close();
    }
  }

  /** Milliseconds by the clock of the file server. */
  async #now(): Promise<number> {
    const path = temporaryPath(this.#directory);
    const file = await open(path, 'wx');
    try {
      await file.writeFile('\n');
      await file.sync();
      return (await file.stat()).mtimeMs;
    } finally {
      await file.close().finally(() => discard(path));
    }
  }

  async #create(name: string, number: number): Promise<Lease | null> {
    const holder: LeaseHolder = {
      token: randomUUID(),
      host: hostname(),
      pid: process.pid,
      boot: bootId(),
      since: new Date().toISOString(),
      progress: '',
      released: false,
    };
    const path = pathOf(this.#directory, name, number);
    const temporary = temporaryPath(this.#directory);
    let file = await open(temporary, 'wx+');
    let isOurs = false;
    try {
      await writeHolder(file, holder);
      // Before it has its name: from then on others ask whether it is locked.
      lock(file);
      const outcome = await linked(temporary, path);
      if (outcome === 'unsupported') {
        await file.close();
        file = await open(path, 'wx+');
        lock(file);
        await writeHolder(file, holder);
        isOurs = true;
        // Where a server's answer was lost, the name is there although it says that it was there before.
      } else isOurs = outcome === 'made' || (await isAt(file, path));
      return isOurs ? new Lease(this.#directory, name, number, file, holder, this.#seconds) : null;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return null;
      throw cause;
    } finally {
      await discard(temporary);
      if (!isOurs) await file.close();
    }
  }
}

/** A piece of work that is ours, until it is given up, finished or lost. */
export class Lease {
  readonly #directory: string;
  readonly #name: string;
  readonly #number: number;
  readonly #file: OpenFile;
  readonly #seconds: number;
  readonly #timer: NodeJS.Timeout;
  readonly #lost = new AbortController();
  #holder: LeaseHolder;
  #written = performance.now();
  #writing: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(directory: string, name: string, number: number, file: OpenFile, holder: LeaseHolder, seconds: number) {
    this.#directory = directory;
    this.#name = name;
    this.#number = number;
    this.#file = file;
    this.#holder = holder;
    this.#seconds = seconds;
    this.#timer = setInterval(() => void this.renew(), (1000 * seconds) / BEATS).unref();
  }

  /** How often the work was begun before. */
  get attempts(): number {
    return this.#number - 1;
  }

  /** Aborts when somebody else has taken the work over, or may have, as nothing could be written for too long. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** How far the work is, in words, for those who ask; written the next time. */
  set progress(words: string) {
    this.#holder = { ...this.#holder, progress: words };
  }

  /** Says that we are alive, and looks whether the work is still ours. Never rejects. */
  async renew(): Promise<boolean> {
    if (this.#isOver) return false;
    const work = this.#writing.then(async () => {
      if (!this.#isOver) await writeHolder(this.#file, this.#holder);
    });
    this.#writing = work.catch(() => undefined);
    const isWritten = await work.then(
      () => true,
      () => false,
    );
    if (isWritten) this.#written = performance.now();
    const isLate = performance.now() - this.#written > 750 * this.#seconds;
    if (this.#isOver || !(isLate || (isWritten && !(await this.#isStill())))) return !this.#isOver;
    clearInterval(this.#timer);
    this.#lost.abort(new BertuneError('ABORTED', 'Another worker has taken the work over'));
    return false;
  }

  /** Gives the work up: somebody else may take it at once. */
  async release(): Promise<void> {
    await this.#end(async () => {
      await writeHolder(this.#file, { ...this.#holder, released: true });
    });
  }

  /** Removes the leases of finished work. */
  async finish(): Promise<void> {
    await this.#end(async () => {
      for (let n = 1; n <= this.#number; n++) await rm(pathOf(this.#directory, this.#name, n), { force: true });
    });
  }

  async #end(work: () => Promise<void>): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#timer);
    await this.#writing;
    try {
      // What cannot be written is free once its lock is, or after a while.
      if (!this.#lost.signal.aborted) await work().catch(() => undefined);
    } finally {
      await this.#file.close();
    }
  }

  async #isStill(): Promise<boolean> {
    const next = await lstat(pathOf(this.#directory, this.#name, this.#number + 1)).catch(() => undefined);
    if (next !== undefined) return false;
    return isAt(this.#file, pathOf(this.#directory, this.#name, this.#number));
  }
}

function pathOf(directory: string, name: string, number: number): string {
  return join(directory, `${name}.${number}`);
}

async function linked(from: string, to: string): Promise<'made' | 'exists' | 'unsupported'> {
  try {
    await link(from, to);
    return 'made';
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST') return 'exists';
    if (NO_LINKS.includes(code)) return 'unsupported';
    throw cause;
  }
}

async function isAt(file: OpenFile, path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  const own = await file.stat();
  return found !== undefined && found.ino === own.ino && found.dev === own.dev;
}

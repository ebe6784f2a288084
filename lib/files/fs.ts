import * as fs from 'node:fs';
import { promisify } from 'node:util';

/*
 * The calls of node:fs/promises that this package needs, over the callbacks of node:fs: same names, arguments and errors.
 * Node.js ends the whole process where a worker thread is terminated just as it makes a promise of node:fs/promises
 * (nodejs/node, src/node_file.cc: CHECK_NOT_NULL(req_wrap_async)), while a callback that is no longer wanted is dropped.
 * Nothing in lib/ imports node:fs/promises.
 */

export const copyFile = promisify(fs.copyFile);
export const link = promisify(fs.link);
export const lstat = promisify(fs.lstat);
export const mkdir = promisify(fs.mkdir);
export const opendir = promisify(fs.opendir);
export const readdir = promisify(fs.readdir);
export const readFile = promisify(fs.readFile);
export const readlink = promisify(fs.readlink);
export const realpath = promisify(fs.realpath);
export const rename = promisify(fs.rename);
export const rm = promisify(fs.rm);
export const rmdir = promisify(fs.rmdir);
export const stat = promisify(fs.stat);
export const statfs = promisify(fs.statfs);
export const symlink = promisify(fs.symlink);
export const utimes = promisify(fs.utimes);
export const writeFile = promisify(fs.writeFile);

const openDescriptor = promisify(fs.open);
const closeDescriptor = promisify(fs.close);
const readDescriptor = promisify(fs.read);
const writeDescriptor = promisify(fs.write);
const statDescriptor = promisify(fs.fstat);
const syncDescriptor = promisify(fs.fsync);
const truncateDescriptor = promisify(fs.ftruncate);

/** Opens a file. Flags and permissions are those of fs.open. Node closes it when a worker thread is terminated. */
export async function open(path: string, flags: string | number, mode?: number): Promise<OpenFile> {
  return new OpenFile(await openDescriptor(path, flags, mode));
}

/** An open file, as a FileHandle. It is for its owner to close. */
export class OpenFile {
  /** −1 once it is closed, as another file may have its number by then. */
  #descriptor: number;
  /** Calls under way, which `close` waits for. */
  #calls = 0;
  #onIdle: (() => void) | undefined;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Its number, for what only the addon can do with it. */
  get descriptor(): number {
    return this.#expectOpen();
  }

  /** Reads up to `length` bytes into `buffer` from byte `offset` of it on; fewer at the end of the file. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }> {
    return this.#use((descriptor) => readDescriptor(descriptor, buffer, offset, length, position));
  }

  /** Writes up to `length` bytes of `buffer` at byte `position`. Defaults to the file's current position. */
  write(buffer: Uint8Array, offset: number, length: number, position?: number): Promise<{ bytesWritten: number }> {
    return this.#use((descriptor) => writeDescriptor(descriptor, buffer, offset, length, position));
  }

  /** Writes all of a text at the file's current position. */
  writeFile(text: string): Promise<void> {
    return this.#use((descriptor) => writeFile(descriptor, text));
  }

  stat(): Promise<fs.Stats> {
    return this.#use((descriptor) => statDescriptor(descriptor));
  }

  /** Its number in the file system. */
  inode(): Promise<bigint> {
    return this.#use(async (descriptor) => (await statDescriptor(descriptor, { bigint: true })).ino);
  }

  /** Leads to the open file itself, whatever becomes of its name; on Linux only. */
  get path(): string {
    return `/proc/self/fd/${this.#expectOpen()}`;
  }

  /** Flushes it to the disk. */
  sync(): Promise<void> {
    return this.#use(syncDescriptor);
  }

  truncate(size: number): Promise<void> {
    return this.#use((descriptor) => truncateDescriptor(descriptor, size));
  }

  /** A stream of its contents from the current position on, which closes it. */
  createReadStream(options: { highWaterMark: number }): fs.ReadStream {
    return fs.createReadStream('', { ...options, fd: this.#take(), autoClose: true });
  }

  /** Closes it once the calls under way have settled; more calls do nothing. */
  async close(): Promise<void> {
    if (this.#descriptor < 0) return;
    const descriptor = this.#take();
    if (this.#calls > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await closeDescriptor(descriptor);
  }

  #take(): number {
    const descriptor = this.#expectOpen();
    this.#descriptor = -1;
    return descriptor;
  }

  #expectOpen(): number {
    if (this.#descriptor < 0) throw Object.assign(new Error('EBADF: the file is closed'), { code: 'EBADF' });
    return this.#descriptor;
  }

  async #use<T>(call: (descriptor: number) => Promise<T>): Promise<T> {
    const descriptor = this.#expectOpen();
    this.#calls++;
    try {
      return await call(descriptor);
    } finally {
      if (--this.#calls === 0) this.#onIdle?.();
    }
  }
}

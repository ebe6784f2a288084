import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { dirname, join } from 'node:path';
import { BertuneError } from '../errors.js';
import { lstat, type OpenFile, open, rm } from './fs.js';

/** A directory, and never a link to one. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0);

/** What flushing a directory says where the system does not do it. */
const NO_FLUSH = ['EINVAL', 'EISDIR', 'EPERM', 'EACCES', 'EBADF', 'ENOTSUP', 'ENOSYS'];

/** A directory inside the one that is written to. */
interface Inner {
  file: OpenFile;
  /** Leads to the open directory itself where the system has such paths. */
  path: string;
}

/**
 * Where the files of a directory go. Directories inside it are held open, so that a link in the place of one leads nobody
 * elsewhere, whenever it is put there.
 */
export class Places implements AsyncDisposable {
  readonly directory: string;
  readonly #inner = new Map<string, Inner>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  /**
   * @param directory exists; where it is a link, it is followed: the caller named it
   * @param names of files, which may lie in directories inside it: `base/config.json`
   * @throws BertuneError OUTPUT_REFUSED where a link or a file is in the place of one; what the file system says
   */
  static async open(directory: string, names: readonly string[]): Promise<Places> {
    const places = new Places(directory);
    try {
      for (const inside of new Set(names.map((name) => dirname(name)))) {
        if (inside !== '.') await places.#hold(inside);
      }
      return places;
    } catch (cause) {
      await places[Symbol.asyncDispose]();
      throw cause;
    }
  }

  async #hold(name: string): Promise<void> {
    const path = join(this.directory, name);
    const file = await open(path, OPEN_FLAGS).catch((cause: NodeJS.ErrnoException) => {
      // Nothing is in a directory that is not there.
      if (cause.code === 'ENOENT') return undefined;
      if (cause.code !== 'ELOOP' && cause.code !== 'ENOTDIR') throw cause;
      throw new BertuneError(
        'OUTPUT_REFUSED',
        `Cannot write to ${path}: it is a link or a file. Remove it, or choose another output directory`,
        { cause },
      );
    });
    if (file === undefined) return;
    const own = await lstat(file.path).catch(() => undefined);
    this.#inner.set(name, { file, path: own ? file.path : path });
  }

  /** The path of a file by its name. */
  path(name: string): string {
    const inner = this.#inner.get(dirname(name));
    return inner ? `${inner.path}${name.slice(dirname(name).length)}` : join(this.directory, name);
  }

  /**
   * Makes renames durable, where the system lets directories be flushed.
   *
   * @throws what the file system says where it fails to
   */
  async sync(): Promise<void> {
    await syncDirectory(this.directory);
    for (const { file } of this.#inner.values()) await flush(file);
  }

  /** What the file system said, with paths as the caller knows them. */
  named(cause: unknown): unknown {
    if (cause instanceof Error) {
      for (const [name, { path }] of this.#inner) {
        cause.message = cause.message.replaceAll(`${path}/`, `${join(this.directory, name)}/`);
      }
    }
    return cause;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { file } of this.#inner.values()) await file.close();
  }
}

/**
 * Makes renames in a directory durable, where the system lets a directory be flushed.
 *
 * @throws what the file system says where it fails to
 */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r').catch(unsupported);
  if (!handle) return;
  try {
    await flush(handle);
  } finally {
    await handle.close();
  }
}

async function flush(directory: OpenFile): Promise<void> {
  await directory.sync().catch(unsupported);
}

function unsupported(cause: NodeJS.ErrnoException): undefined {
  if (!NO_FLUSH.includes(cause.code ?? '')) throw cause;
}

/** A name for a file that is still being written. */
export function temporaryPath(directory: string): string {
  return join(directory, `.bertune-${randomBytes(8).toString('hex')}.tmp`);
}

/** Whether a name is one that temporaryPath makes. */
export function isTemporaryName(name: unknown): name is string {
  return typeof name === 'string' && /^\.bertune-[0-9a-f]{16}\.tmp$/.test(name);
}

/** Removes a file that means nothing any more. Once more where that fails; what is left then goes with the next save. */
export async function discard(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => rm(path, { force: true }).catch(() => undefined));
}

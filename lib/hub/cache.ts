import { randomBytes } from 'node:crypto';
import { dirname, join, relative, sep } from 'node:path';
import { BertuneError } from '../errors.js';
import { copyFile, lstat, mkdir, readlink, rename, rm, stat, symlink, writeFile } from '../files/fs.js';
import { isDirectory, readText } from '../files/input.js';
import { parseJson } from '../files/json.js';
import { listFiles } from '../files/paths.js';
import { isFolderName, type RepositoryKind } from './id.js';
import type { HubSettings } from './settings.js';
import { type TreeEntry, treeFromJson, treeToJson } from './tree.js';

const TAG =
  'Signature: 8a477f597d28d172789f06886806bc55\n# This file marks a cache directory: https://bford.info/cachedir/\n';

/** A ref holds a commit. */
const MOST_REF_BYTES = 1024;
/** Far above any listing that is kept. */
const MOST_TREE_BYTES = 64 * 2 ** 20;

/**
 * One repository's part of the cache, in the layout of Python's huggingface_hub. Reading follows links, as Python does;
 * writing follows none inside the cache, so that a cache which came from elsewhere directs no write out of itself.
 */
export class RepositoryCache {
  readonly #root: string;
  readonly #name: string;
  readonly #symlinks: boolean;

  constructor({ cache, symlinks }: Pick<HubSettings, 'cache' | 'symlinks'>, kind: RepositoryKind, name: string) {
    this.#root = cache;
    this.#name = [`${kind}s`, ...name.split('/')].join('--');
    this.#symlinks = symlinks;
  }

  get #folder(): string {
    return join(this.#root, this.#name);
  }

  /** Where a file's contents are, or are to be. */
  blob(etag: string): string {
    return join(this.#folder, 'blobs', etag);
  }

  /** Whether a blob is here, whole as far as its size tells. */
  async hasBlob(etag: string, size: number): Promise<boolean> {
    return isFileOfSize(this.blob(etag), size);
  }

  /** The file that stands for the right to write a blob. */
  lock(etag: string): string {
    return join(this.#root, '.locks', this.#name, `${etag}.bertune.lock`);
  }

  /** The folder of a commit's files. */
  snapshot(commit: string): string {
    return join(this.#folder, 'snapshots', commit);
  }

  /** The path of a file in a commit's folder. */
  file(commit: string, path: string): string {
    return join(this.snapshot(commit), ...path.split('/'));
  }

  /** Whether a commit has the file, whole as far as its size tells. */
  async has(commit: string, path: string, size?: number): Promise<boolean> {
    return isFileOfSize(this.file(commit, path), size);
  }

  /** Whether there is a folder of that name among the commits' folders. */
  async hasSnapshot(name: string): Promise<boolean> {
    return isFolderName(name) && (await isDirectory(this.snapshot(name)));
  }

  /** The files of a commit that are here, as paths in the repository. */
  async paths(commit: string): Promise<string[]> {
    const paths: string[] = [];
    for (const path of await listFiles(this.snapshot(commit)).catch(() => [])) {
      if (await this.has(commit, path)) paths.push(path);
    }
    return paths;
  }

  /**
   * The commit that a branch or tag meant when it was last asked about; null where it never was. In a cache that was laid
   * out by hand it may be any name of a snapshot's folder.
   */
  async readRef(revision: string): Promise<string | null> {
    const path = join(this.#folder, 'refs', ...revision.split('/'));
    const text = (await readText(path, MOST_REF_BYTES).catch(() => '')).trim();
    return isFolderName(text) ? text : null;
  }

  /** Notes which commit a branch or tag means. */
  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.readRef(revision)) === commit) return;
    await this.#write(join('refs', ...revision.split('/')), commit);
  }

  /** What a commit holds, as listed before; null where it was not. */
  async readTree(commit: string): Promise<Map<string, TreeEntry> | null> {
    try {
      return treeFromJson(parseJson(await readText(join(this.#folder, 'trees', `${commit}.json`), MOST_TREE_BYTES)));
    } catch {
      return null;
    }
  }

  async writeTree(commit: string, tree: ReadonlyMap<string, TreeEntry>): Promise<void> {
    await this.#write(join('trees', `${commit}.json`), JSON.stringify(treeToJson(tree), null, 1));
  }

  /** Whether the repository is known not to have a file at a commit. */
  async isMissing(commit: string, path: string): Promise<boolean> {
    return (await stat(join(this.#folder, '.no_exist', commit, path)).catch(() => undefined)) !== undefined;
  }

  /** Records that the repository has no such file at a commit, so that no one asks again. */
  async markMissing(commit: string, path: string): Promise<void> {
    if (!(await this.isMissing(commit, path))) await this.#write(join('.no_exist', commit, path), '');
  }

  /** Makes the folders that a transfer writes to. */
  async prepare(): Promise<void> {
    await this.#makeFolder(join(this.#folder, 'blobs'));
    await this.#makeFolder(join(this.#root, '.locks', this.#name));
    await writeFile(join(this.#root, 'CACHEDIR.TAG'), TAG, { flag: 'wx' }).catch(() => undefined);
  }

  /**
   * Puts a blob into a commit's folder: as a relative link, or as a file of its own where there are no links.
   *
   * @param fresh whether the blob was written just now, so that no other commit shows it yet
   */
  async link(commit: string, path: string, etag: string, fresh: boolean): Promise<void> {
    const target = this.file(commit, path);
    const temporary = `${target}.${randomBytes(4).toString('hex')}.tmp`;
    const blob = this.blob(etag);
    const source = relative(dirname(target), blob);
    if ((await readlink(target).catch(() => null)) === source) return;
    await this.#makeFolder(dirname(target));
    try {
      if (!this.#symlinks) throw Object.assign(new Error('links are not wanted'), { code: 'EPERM' });
      await symlink(source, temporary);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? '';
      if (!['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'UNKNOWN'].includes(code)) throw cause;
      await (fresh ? rename(blob, temporary) : copyFile(blob, temporary));
    }
    try {
      await rename(temporary, target);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw cause;
    }
  }

  /** Writes a small file whole or not at all. */
  async #write(path: string, text: string): Promise<void> {
    const target = join(this.#folder, path);
    const temporary = `${target}.${randomBytes(4).toString('hex')}.tmp`;
    await this.#makeFolder(dirname(target));
    try {
      await writeFile(temporary, text, { flag: 'wx' });
      await rename(temporary, target);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw cause;
    }
  }

  /** Makes a folder in the cache and those above it; the cache itself may be a link, none of them. */
  async #makeFolder(folder: string): Promise<void> {
    await mkdir(this.#root, { recursive: true });
    let path = this.#root;
    for (const part of relative(this.#root, folder).split(sep)) {
      path = join(path, part);
      await mkdir(path).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'EEXIST') throw cause;
      });
      if ((await lstat(path)).isDirectory()) continue;
      throw new BertuneError(
        'OUTPUT_REFUSED',
        `${path} in the hub's cache is a link or a file, and nothing is written through it. Put a folder in its place, ` +
          'or set HF_HUB_CACHE to another folder',
      );
    }
  }
}

async function isFileOfSize(path: string, size: number | undefined): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  return (status?.isFile() ?? false) && (size === undefined || status?.size === size);
}

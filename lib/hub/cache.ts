import { randomBytes } from 'node:crypto';
import { dirname, join, relative } from 'node:path';
import { copyFile, mkdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from '../files/fs.js';
import { listFiles } from '../files/list.js';
import { isCommit, type RepositoryKind } from './id.js';
import type { HubSettings } from './settings.js';
import { type TreeEntry, treeFromJson, treeToJson } from './tree.js';

const TAG =
  'Signature: 8a477f597d28d172789f06886806bc55\n# This file marks a cache directory: https://bford.info/cachedir/\n';

/** One repository's part of the cache, in the layout of Python's huggingface_hub. */
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
    const status = await stat(this.file(commit, path)).catch(() => undefined);
    return (status?.isFile() ?? false) && (size === undefined || status?.size === size);
  }

  /** The files of a commit that are here, as paths in the repository. */
  async paths(commit: string): Promise<string[]> {
    const paths: string[] = [];
    for (const path of await listFiles(this.snapshot(commit)).catch(() => [])) {
      if (await this.has(commit, path)) paths.push(path);
    }
    return paths;
  }

  /** The commit that a branch or tag meant when it was last asked about; null where it never was. */
  async readRef(revision: string): Promise<string | null> {
    const text = (await readFile(join(this.#folder, 'refs', ...revision.split('/')), 'utf8').catch(() => '')).trim();
    return isCommit(text) ? text : null;
  }

  /** Notes which commit a branch or tag means. */
  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.readRef(revision)) === commit) return;
    await this.#write(join('refs', ...revision.split('/')), commit);
  }

  /** What a commit holds, as listed before; null where it was not. */
  async readTree(commit: string): Promise<Map<string, TreeEntry> | null> {
    try {
      return treeFromJson(JSON.parse(await readFile(join(this.#folder, 'trees', `${commit}.json`), 'utf8')));
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

  /** Notes that the repository has no such file at a commit, so that nobody asks again. */
  async markMissing(commit: string, path: string): Promise<void> {
    if (!(await this.isMissing(commit, path))) await this.#write(join('.no_exist', commit, path), '');
  }

  /** Makes the folders that a transfer writes to. */
  async prepare(): Promise<void> {
    await mkdir(join(this.#folder, 'blobs'), { recursive: true });
    await mkdir(join(this.#root, '.locks', this.#name), { recursive: true });
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
    await mkdir(dirname(target), { recursive: true });
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
    await mkdir(dirname(target), { recursive: true });
    await writeFile(temporary, text);
    await rename(temporary, target);
  }
}

import { BertuneError, type ErrorCode } from '../errors.js';
import { readText } from '../files/input.js';
import { RepositoryCache } from './cache.js';
import { HubClient } from './client.js';
import { cacheFailure, hubUnavailable, type Subject, subjectWords } from './failure.js';
import { isCommit } from './id.js';
import { withLock } from './lock.js';
import type { HubSettings } from './settings.js';
import { bring, partialSize } from './transfer.js';
import { etagOf, type TreeEntry } from './tree.js';

/** Progress of the downloads for one model or data set. */
export interface HubProgress {
  /** The requested id. */
  readonly source: string;
  /** The file being downloaded. */
  readonly file: string;
  /** Bytes received so far, of all files. */
  readonly receivedBytes: number;
  /** Bytes to download: all files that were not in the cache. */
  readonly totalBytes: number;
}

/** Which files of a repository are needed. */
export interface Choice {
  /** Files that make no difference where the repository has none. Only where these are known can a cache be complete that
   * was filled by others, who list nothing; null: it never is. */
  readonly optional: readonly string[] | null;
  /**
   * @param paths every file of the repository (or of its snapshot, if the hub cannot be asked)
   * @param read fetches a small file and gives its text
   * @param where the repository, for messages
   * @throws BertuneError where what is needed is not there
   */
  choose(
    paths: readonly string[],
    read: (path: string) => Promise<string>,
    where: string,
  ): Promise<readonly string[]> | readonly string[];
}

/** A repository's files, in the cache. */
export interface Snapshot {
  readonly directory: string;
  readonly commit: string;
  /** Paths of the files that were chosen. */
  readonly files: readonly string[];
  /** What is worth knowing, e.g. that the hub could not be asked for news. */
  readonly notes: readonly string[];
}

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: HubProgress) => void) | undefined;
}

/** Largest file that is read to choose the others by: a data set's card, an index of shards. */
const MOST_TEXT_BYTES = 16 * 2 ** 20;

/** For how long a branch means what it meant: a run loads data and model several times, and all of it should agree. */
const REMEMBERED_MILLISECONDS = 5 * 60_000;
const remembered = new Map<string, { commit: string; notes: string[]; until: number }>();

/** Brings what is chosen of a repository into the cache. Errors as findModel. */
export class SnapshotFetcher {
  readonly #subject: Subject;
  readonly #settings: HubSettings;
  readonly #options: FetchOptions;
  readonly #cache: RepositoryCache;
  readonly #client: HubClient;

  constructor(subject: Subject, settings: HubSettings, options: FetchOptions) {
    this.#subject = subject;
    this.#settings = settings;
    this.#options = options;
    this.#cache = new RepositoryCache(settings, subject.kind, subject.name);
    this.#client = new HubClient(settings, subject, options.signal);
  }

  async fetch(choice: Choice): Promise<Snapshot> {
    const { commit, notes } = await this.commit();
    const tree = await this.#cache.readTree(commit);
    if (tree !== null) return { ...(await this.#fromTree(commit, tree, choice)), notes };
    if (await this.#isComplete(commit, choice)) return { ...(await this.#fromSnapshot(commit, choice)), notes };
    if (this.#settings.offline || !isCommit(commit)) return { ...(await this.#fromSnapshot(commit, choice)), notes };
    // Out of reach a moment ago: what is here will do where it can.
    const here = notes.length > 0 ? await this.#fromSnapshot(commit, choice).catch(() => undefined) : undefined;
    if (here !== undefined) return { ...here, notes };
    let listed: Map<string, TreeEntry>;
    try {
      listed = await this.#client.tree(commit);
    } catch (cause) {
      if (!(cause instanceof BertuneError) || cause.code !== 'HUB_UNAVAILABLE') throw cause;
      const found = await this.#fromSnapshot(commit, choice).catch(() => undefined);
      if (found === undefined) throw cause;
      return { ...found, notes: notes.length > 0 ? notes : [this.#note(commit)] };
    }
    await this.#writing(async () => {
      await this.#cache.writeTree(commit, listed);
      const missing = (choice.optional ?? []).filter((path) => !listed.has(path));
      for (const path of missing) await this.#cache.markMissing(commit, path);
    });
    return { ...(await this.#fromTree(commit, listed, choice)), notes };
  }

  /** The commit that the revision means: the hub's word, or the cache's where the hub is out of reach. */
  async commit(): Promise<{ commit: string; notes: string[] }> {
    const { kind, name, revision } = this.#subject;
    if (isCommit(revision)) return { commit: revision, notes: [] };
    const { cache, endpoint, offline } = this.#settings;
    const named = (await this.#cache.hasSnapshot(revision)) ? revision : null;
    const cached = (await this.#cache.readRef(revision)) ?? named;
    if (offline) {
      if (cached === null) throw hubUnavailable(this.#subject, this.#settings, undefined);
      return { commit: cached, notes: [] };
    }
    const key = JSON.stringify([cache, endpoint, kind, name, revision]);
    const before = remembered.get(key);
    if (before !== undefined && before.until > Date.now()) return before;
    const found = await this.#ask(cached);
    remembered.set(key, { ...found, until: Date.now() + REMEMBERED_MILLISECONDS });
    return found;
  }

  async #ask(cached: string | null): Promise<{ commit: string; notes: string[] }> {
    try {
      const commit = await this.#client.commit(cached === null ? undefined : 1);
      // Best effort, as the cache may be read-only and complete.
      await this.#cache.writeRef(this.#subject.revision, commit).catch(() => undefined);
      return { commit, notes: [] };
    } catch (cause) {
      if (cached === null || !(cause instanceof BertuneError) || cause.code !== 'HUB_UNAVAILABLE') throw cause;
      return { commit: cached, notes: [this.#note(cached)] };
    }
  }

  #note(commit: string): string {
    const { name, revision } = this.#subject;
    return `The hub could not be reached for ${name}: the cached ${revision} (${commit.slice(0, 12)}) is used.`;
  }

  /** Whether a snapshot made by others is complete, although there is no list of its files. */
  async #isComplete(commit: string, choice: Choice): Promise<boolean> {
    if (choice.optional === null) return false;
    const paths = await this.#cache.paths(commit);
    for (const path of choice.optional) {
      if (!paths.includes(path) && !(await this.#cache.isMissing(commit, path))) return false;
    }
    return this.#fromSnapshot(commit, choice).then(
      () => true,
      () => false,
    );
  }

  /** The files that a snapshot has, if the list of those it should have is unknown. */
  async #fromSnapshot(commit: string, choice: Choice): Promise<Omit<Snapshot, 'notes'>> {
    const directory = this.#cache.snapshot(commit);
    const paths = await this.#cache.paths(commit);
    try {
      if (paths.length === 0) throw new BertuneError('NOT_FOUND', `Expected files in ${directory} but there are none`);
      const files = await choice.choose(paths, (path) => this.#read(commit, path), directory);
      return { directory, commit, files };
    } catch (cause) {
      if (cause instanceof BertuneError && cause.code !== 'NOT_FOUND') throw cause;
      throw hubUnavailable(this.#subject, this.#settings, cause);
    }
  }

  /** The chosen files of a listed commit; those that are not here are fetched. */
  async #fromTree(
    commit: string,
    tree: ReadonlyMap<string, TreeEntry>,
    choice: Choice,
  ): Promise<Omit<Snapshot, 'notes'>> {
    const where = `${subjectWords(this.#subject)} at ${this.#subject.revision}`;
    const read = async (path: string) => {
      const size = tree.get(path)?.size ?? 0;
      if (size > MOST_TEXT_BYTES) {
        throw new BertuneError(
          this.#invalid,
          `Expected at most ${MOST_TEXT_BYTES} bytes in ${path} of ${where}, found ${size}`,
        );
      }
      await this.#bringAll(commit, tree, [path]);
      return this.#read(commit, path);
    };
    const files = await choice.choose([...tree.keys()], read, where);
    await this.#bringAll(commit, tree, files);
    return { directory: this.#cache.snapshot(commit), commit, files };
  }

  /** The text of a small file that is here. */
  #read(commit: string, path: string): Promise<string> {
    return readText(this.#cache.file(commit, path), MOST_TEXT_BYTES, this.#invalid);
  }

  get #invalid(): ErrorCode {
    return this.#subject.kind === 'model' ? 'CHECKPOINT_INVALID' : 'INVALID_DATA';
  }

  async #bringAll(commit: string, tree: ReadonlyMap<string, TreeEntry>, paths: readonly string[]): Promise<void> {
    const lacking: [string, TreeEntry][] = [];
    for (const path of new Set(paths)) {
      const entry = tree.get(path);
      if (entry === undefined) throw new BertuneError('INTERNAL', `Expected ${path} among the files of ${commit}`);
      if (!(await this.#cache.has(commit, path, entry.size))) lacking.push([path, entry]);
    }
    if (lacking.length === 0) return;
    if (this.#settings.offline) {
      const names = lacking.map(([path]) => path).join(', ');
      throw hubUnavailable(this.#subject, this.#settings, new Error(`it lacks ${names}`));
    }
    const totalBytes = lacking.reduce((sum, [, { size }]) => sum + size, 0);
    let before = 0;
    let shown = -1;
    await this.#writing(() => this.#cache.prepare());
    for (const [path, entry] of lacking) {
      const onBytes = (bytes: number) => {
        const receivedBytes = before + bytes;
        if (receivedBytes === shown) return;
        shown = receivedBytes;
        this.#options.onProgress?.({ source: this.#subject.name, file: path, receivedBytes, totalBytes });
      };
      await this.#writing(() => this.#bring(commit, path, entry, onBytes));
      before += entry.size;
      onBytes(0);
    }
  }

  /** One process at a time brings a blob; the others find it there. */
  async #bring(commit: string, path: string, entry: TreeEntry, onBytes: (bytes: number) => void): Promise<void> {
    const etag = etagOf(entry);
    const blob = this.#cache.blob(etag);
    const wait = { signal: this.#options.signal, progress: () => partialSize(blob) };
    await withLock(this.#cache.lock(etag), wait, async () => {
      if (await this.#cache.has(commit, path, entry.size)) return;
      const fresh = !(await this.#cache.hasBlob(etag, entry.size));
      if (fresh) await bring({ client: this.#client, commit, path, entry, blob, onBytes });
      await this.#cache.link(commit, path, etag, fresh);
    });
  }

  async #writing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw cacheFailure(this.#settings.cache, cause);
    }
  }
}

import { BertuneError } from '../errors.js';
import { stat } from '../files/fs.js';
import { CARD_FILE } from '../files/model-files.js';
import {
  copyArray,
  expectAbortSignal,
  expectFunction,
  expectObject,
  expectPath,
  expectString,
  invalidOption,
  isArray,
} from '../options/validation.js';
import { throwIfAborted } from '../time-slice.js';
import { embeddedPath } from './embedded.js';
import { type HubId, isCommit, isRevision, parseHubId, type RepositoryKind } from './id.js';
import { modelFiles } from './model-files.js';
import { hubSettings } from './settings.js';
import { type Choice, type HubProgress, type Snapshot, SnapshotFetcher } from './snapshot.js';

export type { HubProgress } from './snapshot.js';

/** Options of `findModel`. */
export interface FindOptions {
  /** Branch, tag or commit on the hub. Defaults to the one after the id's `@`, else `main`. */
  revision?: string | undefined;
  /** Stops transfers; what has arrived is kept for next time. Defaults to none. */
  signal?: AbortSignal | undefined;
  /** Called as bytes arrive. Defaults to none. */
  onProgress?: ((progress: HubProgress) => void) | undefined;
}

/** Options of `findDataset`. */
export interface FindDatasetOptions extends FindOptions {
  /**
   * The files that are needed.
   *
   * @param paths every file of the repository
   * @param card the text of its README.md; null if it has none
   */
  select: (paths: readonly string[], card: string | null) => readonly string[];
}

/** A model or data set that is now available locally. */
export interface Found {
  /** The local folder or file as given, or the snapshot in the hub's cache. */
  directory: string;
  /** The id without its revision, or the local path. */
  name: string;
  /** The requested revision; null if there was none, or for a local path. */
  revision: string | null;
  /** The commit on the hub, or the snapshot's name in a cache made by hand; null for a local path. */
  commit: string | null;
  /** The selected files; null for a local path. */
  files: readonly string[] | null;
  /** Remarks, e.g. that the hub could not be reached and the cached version is used. */
  notes: readonly string[];
}

const OPTIONS = ['revision', 'signal', 'onProgress'];

/**
 * Finds a model or adapter: a local folder, the sample model by its name, or a repository on the Hugging Face hub (`name`,
 * `org/name`, `org/name@revision`), whose files are downloaded unless the cache has them. The cache is the one that Python
 * uses; if it has the files of a commit, the hub is not asked. Environment variables are those of huggingface_hub.
 *
 * @param source an existing path, or an id
 * @throws BertuneError NOT_FOUND: neither a path nor on the hub, no such revision, or no weights · HUB_UNAVAILABLE ·
 *   HUB_ACCESS · CHECKPOINT_INVALID: weights in pickles only · OUTPUT_REFUSED: the cache cannot be written, or the disk is
 *   full · INVALID_OPTION · ABORTED
 */
export async function findModel(source: string, options: FindOptions = {}): Promise<Found> {
  return find('model', source, modelFiles, expectObject('options', options, OPTIONS));
}

/**
 * Finds a data set, like findModel.
 *
 * @param options.select the files that are needed; README.md comes with them
 * @throws BertuneError as findModel; NOT_FOUND if `select` returns no files
 */
export async function findDataset(source: string, options: FindDatasetOptions): Promise<Found> {
  const { select, ...shared } = expectObject('options', options, [...OPTIONS, 'select']);
  expectFunction('select', select);
  const choice: Choice = {
    optional: null,
    async choose(paths, read, where) {
      const hasCard = paths.includes(CARD_FILE);
      const found: unknown = select(paths, hasCard ? await read(CARD_FILE) : null);
      const isPath = (path: unknown): path is string => paths.includes(path as string);
      const { items: chosen, odd } = isArray(found) ? copyArray(found, isPath) : { items: [], odd: 0 };
      if (odd >= 0) {
        const stranger = isArray(found) ? found[odd] : found;
        throw invalidOption('select', 'a function that returns some of the paths', stranger);
      }
      if (chosen.every((path) => path === CARD_FILE)) {
        const there = paths.slice(0, 10).join(', ');
        throw new BertuneError('NOT_FOUND', `Expected data files in ${where} but found ${there}`);
      }
      return hasCard && !chosen.includes(CARD_FILE) ? [...chosen, CARD_FILE] : chosen;
    },
  };
  return find('dataset', source, choice, shared);
}

async function find(kind: RepositoryKind, source: string, choice: Choice, options: FindOptions): Promise<Found> {
  expectPath('source', source);
  const { revision, signal, onProgress } = options;
  if (revision !== undefined && !isRevision(expectString('revision', revision))) {
    throw invalidOption('revision', 'a branch, a tag or a commit', revision);
  }
  if (signal !== undefined) expectAbortSignal('signal', signal);
  if (onProgress !== undefined) expectFunction('onProgress', onProgress);
  throwIfAborted(signal);
  const path = embeddedPath(kind, source);
  if (await stat(path).catch(() => undefined)) {
    if (revision !== undefined)
      throw new BertuneError('INVALID_OPTION', `revision is for ids of the hub, but ${source} is here; leave it out`);
    return { directory: path, name: path, revision: null, commit: null, files: null, notes: [] };
  }
  const id = parseHubId(source);
  if (id === null) {
    const wanted = kind === 'model' ? 'model' : 'data set';
    throw new BertuneError(
      'NOT_FOUND',
      `Expected a ${wanted} at ${source} but there is no such file or folder, and it is no id of the Hugging Face hub ` +
        '(name, org/name or org/name@revision) either',
    );
  }
  if (revision !== undefined && id.revision !== null && revision !== id.revision) {
    throw invalidOption('revision', `${id.revision}, as in ${source},`, revision);
  }
  const asked = revision ?? id.revision;
  const subject = { kind, name: id.name, revision: asked ?? 'main' };
  const fetcher = new SnapshotFetcher(subject, await hubSettings(), { signal, onProgress });
  const snapshot: Snapshot = await fetcher.fetch(choice);
  return { ...snapshot, name: id.name, revision: asked };
}

/** Whether a source is no path here, but may be an id on the hub, so that finding it may mean a transfer. */
export async function isRemote(kind: RepositoryKind, source: string): Promise<boolean> {
  return (await remoteId(kind, source)) !== null;
}

async function remoteId(kind: RepositoryKind, source: string): Promise<HubId | null> {
  return (await stat(embeddedPath(kind, source)).catch(() => undefined)) ? null : parseHubId(source);
}

/**
 * The folder of a model: the embedded one's, a local one, or the hub's snapshot, fetched where it is not here.
 *
 * @throws BertuneError as findModel
 */
export async function modelDirectory(source: string, options: FindOptions = {}): Promise<string> {
  return (await findModel(source, options)).directory;
}

/**
 * An id at its present commit, so that all processes given it read the same files without asking the hub. A local path stays as
 * it is.
 *
 * @throws BertuneError NOT_FOUND, HUB_UNAVAILABLE, HUB_ACCESS, INVALID_OPTION, ABORTED
 */
export async function pinned(kind: RepositoryKind, source: string, options: FindOptions = {}): Promise<string> {
  const id = await remoteId(kind, source);
  if (id === null || (id.revision !== null && isCommit(id.revision))) return source;
  const subject = { kind, name: id.name, revision: id.revision ?? 'main' };
  const fetcher = new SnapshotFetcher(subject, await hubSettings(), { signal: options.signal });
  return `${id.name}@${(await fetcher.commit()).commit}`;
}

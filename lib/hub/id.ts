import { BertuneError } from '../errors.js';

/** The kinds of repository that are read here, as the hub's API and cache folders spell them (with an s). */
export type RepositoryKind = 'model' | 'dataset';

/** A repository on the hub. */
export interface HubId {
  /** `name` or `org/name`. */
  readonly name: string;
  /** Branch, tag or commit behind an `@`; null for none. */
  readonly revision: string | null;
}

const PART = '[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?';
const NAME = new RegExp(`^(?:${PART}/)?${PART}$`);
const FILE_ENDING = /\.(csv|tsv|txt|jsonl?|ndjson|parquet|safetensors|bin|zip|gz)$/i;

/**
 * Reads `name`, `org/name` or `org/name@revision` by the hub's rules: letters, digits, `-`, `_` and `.`, at most 96
 * characters a part, neither `--` nor `..`, no `.git` at the end.
 *
 * @returns null where it is no such id, or ends like a data file's name
 */
export function parseHubId(source: string): HubId | null {
  const at = source.indexOf('@');
  const name = at < 0 ? source : source.slice(0, at);
  const revision = at < 0 ? null : source.slice(at + 1);
  const sound =
    NAME.test(name) && !/--|\.\./.test(name) && !name.endsWith('.git') && (at >= 0 || !FILE_ENDING.test(name));
  return sound && (revision === null || isRevision(revision)) ? { name, revision } : null;
}

/** Whether a word can name a branch, a tag or a commit; it becomes a path in the cache. */
export function isRevision(revision: string): boolean {
  return isSafePath(revision) && revision.length <= 255 && !/[\s?*[~^:]/.test(revision);
}

/** Whether a revision is a whole commit id, which never means anything else later. */
export function isCommit(revision: unknown): revision is string {
  return typeof revision === 'string' && /^[0-9a-f]{40}$/.test(revision);
}

/**
 * Whether a word can be a snapshot's folder: a commit, or the name of one that somebody made by hand. Never a path.
 */
export function isFolderName(name: string): boolean {
  return isRevision(name) && !name.includes('/');
}

/** Whether a repository's path stays inside the folder that it is put into, on every system. */
export function isSafePath(path: string): boolean {
  const segments = path.split('/');
  return (
    !path.includes('\\') &&
    ![...path].some((character) => character < ' ') &&
    !/^[a-z]:/i.test(path) &&
    segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..')
  );
}

/** @throws BertuneError CHECKPOINT_INVALID for a path that would leave its folder */
export function expectSafePath(path: string, repository: string): string {
  if (isSafePath(path)) return path;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected paths inside the repository ${repository} but found ${JSON.stringify(path)}`,
  );
}

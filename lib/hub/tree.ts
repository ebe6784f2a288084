import { isObject } from '../files/json.js';
import { isSafePath } from './id.js';

/** A file of a repository at a commit. */
export interface TreeEntry {
  /** Bytes. */
  readonly size: number;
  /** Git's SHA-1 of the file, or of the pointer that stands for a large one. */
  readonly blobId: string;
  /** SHA-256 of a large file; null for one that is kept in git itself. */
  readonly sha256: string | null;
  readonly xetHash: string | null;
}

/** The name of a file's blob in the cache: what the hub gives as its ETag. */
export function etagOf(entry: TreeEntry): string {
  return entry.sha256 ?? entry.blobId;
}

/** The listing as Python's huggingface_hub keeps it in `trees/<commit>.json`. */
export function treeToJson(tree: ReadonlyMap<string, TreeEntry>): object {
  const files = [...tree]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, { size, blobId, sha256, xetHash }]) => [
      path,
      {
        size,
        blob_id: blobId,
        ...(sha256 !== null && { lfs_sha256: sha256, lfs_size: size }),
        ...(xetHash !== null && { xet_hash: xetHash }),
      },
    ]);
  return { format_version: 1, files: Object.fromEntries(files) };
}

/** The same read; null where it is of another version, or anything in it is not as it should be. */
export function treeFromJson(value: unknown): Map<string, TreeEntry> | null {
  if (!isObject(value) || value.format_version !== 1 || !isObject(value.files)) return null;
  const tree = new Map<string, TreeEntry>();
  for (const [path, info] of Object.entries(value.files)) {
    if (!isObject(info) || !isSafePath(path)) return null;
    const { blob_id: blobId, lfs_sha256: sha256 = null, lfs_size: lfsSize, size, xet_hash: xetHash = null } = info;
    const entry = treeEntry({ size: lfsSize ?? size, blobId, sha256, xetHash });
    if (entry === null) return null;
    tree.set(path, entry);
  }
  return tree;
}

/** What others say of a file, checked; null where that is no size and hashes. */
export function treeEntry({ size, blobId, sha256, xetHash }: Record<keyof TreeEntry, unknown>): TreeEntry | null {
  const sound =
    isSize(size) &&
    isHash(blobId, 40) &&
    (sha256 === null || isHash(sha256, 64)) &&
    (xetHash === null || typeof xetHash === 'string');
  return sound ? { size, blobId, sha256, xetHash } : null;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isHash(value: unknown, digits: number): value is string {
  return typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value);
}

import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { BertuneError } from '../errors.js';
import { lstat, type OpenFile, open, readdir, rename, rm, stat, statfs } from '../files/fs.js';
import { writeFully } from '../files/output.js';
import { throwIfAborted } from '../time-slice.js';
import { ATTEMPTS, type HubClient } from './client.js';
import { hubUnavailable, TransientFailure } from './failure.js';
import { OWN_FILE_FLAGS, tryLock } from './lock.js';
import { etagOf, type TreeEntry } from './tree.js';

/** A slower transfer counts as stalled, however steadily its bytes drip. */
const LEAST_BYTES_PER_SECOND = 1024;

/** An attempt that brings less counts as failed, so that a server which breaks off again and again is given up. */
const PROGRESS_BYTES = 2 ** 20;

/** What a transfer brings, and where from. */
export interface Transfer {
  readonly client: HubClient;
  readonly commit: string;
  readonly path: string;
  readonly entry: TreeEntry;
  /** Where the whole file appears. */
  readonly blob: string;
  /** Given the bytes of the file that are here, those of an earlier attempt included. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Brings a file: into a partial one beside its place, which a later attempt or process goes on with; once size and hash
 * are right and the disk has it, under its name. Broken and stalled transfers are resumed.
 *
 * @throws BertuneError HUB_UNAVAILABLE, HUB_ACCESS, NOT_FOUND, ABORTED; file system errors as they are
 */
export async function bring(transfer: Transfer): Promise<void> {
  const { client, entry, blob, path } = transfer;
  const expected = etagOf(entry);
  let found = await bringOnce(transfer);
  // Once more from the start: what was resumed may have been spoilt.
  if (found !== expected) found = await bringOnce(transfer);
  if (found !== expected) {
    const words = `${path} whose hash is ${found}, not ${expected}`;
    throw hubUnavailable(client.subject, client.settings, new Error(words));
  }
  const directory = await open(dirname(blob), 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

/** The hash of what came. It has its name only where that is the right one. */
async function bringOnce(transfer: Transfer): Promise<string> {
  const { client, entry, blob } = transfer;
  const { file, path, shared } = await openPartial(blob);
  let kept = shared;
  try {
    await expectSpace(entry.size - (await file.stat()).size, blob);
    await fill(transfer, file);
    await file.sync();
    const found = await hashOf(file, entry, client.signal);
    if (found === etagOf(entry)) await publish(path, blob, entry.size);
    else kept = false;
    return found;
  } catch (cause) {
    if (!(cause instanceof TooLong)) throw cause;
    kept = false;
    throw hubUnavailable(client.subject, client.settings, cause);
  } finally {
    if (!kept) await rm(path, { force: true }).catch(() => undefined);
    await file.close();
  }
}

/** Gives the whole file its name; another machine, whose lock is not seen here, may have done so a moment ago. */
async function publish(path: string, blob: string, size: number): Promise<void> {
  try {
    await rename(path, blob);
  } catch (cause) {
    if ((await stat(blob).catch(() => undefined))?.size !== size) throw cause;
  }
}

/** Receives until the file has its size. */
async function fill(transfer: Transfer, file: OpenFile): Promise<void> {
  const { client, entry } = transfer;
  let done = (await file.stat()).size;
  if (done > entry.size) {
    done = 0;
    await file.truncate(done);
  }
  const onBytes = (bytes: number) => {
    done = bytes;
    transfer.onBytes(bytes);
  };
  onBytes(done);
  for (let failures = 0; done < entry.size; ) {
    const start = done;
    try {
      await receive({ ...transfer, onBytes }, file, start);
      if (done < entry.size) throw new TransientFailure('a transfer that ended too early', null);
    } catch (failure) {
      if (!(failure instanceof TransientFailure)) throw failure;
      failures = done - start >= PROGRESS_BYTES ? 1 : failures + 1;
      if (failures >= ATTEMPTS) throw hubUnavailable(client.subject, client.settings, failure);
      await client.pause(failures, failure);
    }
  }
}

class TooLong extends Error {}

/** One request for the rest of a file, from byte `start`. */
async function receive(
  { client, commit, path, entry, onBytes }: Transfer,
  file: OpenFile,
  start: number,
): Promise<void> {
  const { stallTimeout } = client.settings;
  const leastBytes = (LEAST_BYTES_PER_SECOND * stallTimeout) / 1000;
  const stalled = new AbortController();
  const watch = setTimeout(() => stalled.abort(), stallTimeout);
  try {
    const range: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
    const response = await client.open(commit, path, range, stalled.signal);
    let done = start;
    if (start > 0 && !continues(response, start, entry.size)) {
      // The server does not resume: from the start, with what it sends where that is the whole.
      done = 0;
      onBytes(done);
      if (response.statusCode !== 200) {
        response.destroy();
        throw new TransientFailure(`status ${response.statusCode} for the rest of a file`, null);
      }
    }
    let sinceWatched = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (done + chunk.length > entry.size) throw new TooLong(`more than the ${entry.size} bytes of ${path}`);
      await writeFully(file, chunk, done);
      done += chunk.length;
      onBytes(done);
      sinceWatched += chunk.length;
      if (sinceWatched >= leastBytes) {
        sinceWatched = 0;
        watch.refresh();
      }
    }
  } catch (cause) {
    throwIfAborted(client.signal);
    const code = (cause as NodeJS.ErrnoException).code;
    const ours = cause instanceof BertuneError || cause instanceof TransientFailure || cause instanceof TooLong;
    const disk = (cause as NodeJS.ErrnoException).syscall === 'write' && code !== 'EPIPE';
    if (ours || disk) throw cause;
    const words = stalled.signal.aborted
      ? `fewer than ${leastBytes} bytes came in ${stallTimeout / 1000} s`
      : 'the transfer broke off';
    throw new TransientFailure(`${words} (${path})`, null, { cause });
  } finally {
    clearTimeout(watch);
  }
}

/** Whether an answer is the file from byte `start` on. */
function continues({ statusCode, headers }: IncomingMessage, start: number, size: number): boolean {
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
  return statusCode === 206 && Number(from) === start && (total === '*' || Number(total) === size);
}

/** Better before the transfer than near its end. */
async function expectSpace(bytes: number, blob: string): Promise<void> {
  const system = await statfs(dirname(blob)).catch(() => undefined);
  if (system === undefined || system.bavail * system.bsize >= bytes) return;
  throw Object.assign(new Error(`no space for ${bytes} bytes`), { code: 'ENOSPC' });
}

/** SHA-256 of a large file; git's SHA-1, which counts a header in, of one that git keeps. */
async function hashOf(file: OpenFile, { sha256, size }: TreeEntry, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash(sha256 === null ? 'sha1' : 'sha256');
  if (sha256 === null) hash.update(`blob ${size}\0`);
  const buffer = Buffer.alloc(2 ** 20);
  for (let position = 0; ; ) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

/** A blob that is still coming. */
export interface PartialBlob {
  readonly file: OpenFile;
  readonly path: string;
  /** Whether a later attempt or process finds it and goes on with it. */
  readonly shared: boolean;
}

/**
 * Opens the file that a blob comes into, for its one writer to close: the shared one, with what has come before, where it can
 * be locked and is a file of its own; otherwise an empty one that no one else knows.
 *
 * @param blob where the whole file is to appear; its directory exists
 */
export async function openPartial(blob: string): Promise<PartialBlob> {
  const path = blob + ENDING;
  const file = await open(path, OWN_FILE_FLAGS).catch(() => undefined);
  if (file !== undefined) {
    if (tryLock(file.descriptor) && (await isOwn(file, path))) return { file, path, shared: true };
    await file.close();
  }
  const own = `${blob}.${randomBytes(4).toString('hex')}${ENDING}`;
  return { file: await open(own, 'wx+'), path: own, shared: false };
}

/** Bytes of all files that a blob is coming into. They grow as a writer gets on. */
export async function partialSize(blob: string): Promise<number> {
  const names = await readdir(dirname(blob)).catch(() => []);
  const partial = names.filter((name) => name.startsWith(basename(blob)) && name.endsWith(ENDING));
  const sizes = partial.map(async (name) => (await lstat(join(dirname(blob), name)).catch(() => undefined))?.size ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** An ending of our own: Python's processes write theirs beside it. */
const ENDING = '.bertune.incomplete';

/** Whether the open file still has its name, and has no other, under which it may be anybody's. */
async function isOwn(file: OpenFile, path: string): Promise<boolean> {
  const open = await file.stat();
  const named = await lstat(path).catch(() => undefined);
  return open.nlink === 1 && named?.isFile() === true && named.ino === open.ino && named.dev === open.dev;
}

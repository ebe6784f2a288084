import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { dirname } from 'node:path';
import { BertuneError } from '../errors.js';
import { type OpenFile, open, rename, rm, statfs } from '../files/fs.js';
import { writeFully } from '../files/output.js';
import { throwIfAborted } from '../time-slice.js';
import { ATTEMPTS, type HubClient } from './client.js';
import { hubUnavailable, TransientFailure } from './failure.js';
import { etagOf, type TreeEntry } from './tree.js';

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
 * Brings a file: into a partial file beside its place, which a later attempt or process goes on with; once size and hash
 * are right and the disk has it, under its name. Broken and stalled transfers are resumed.
 *
 * @throws BertuneError HUB_UNAVAILABLE, HUB_ACCESS, NOT_FOUND, ABORTED; file system errors as they are
 */
export async function bring(transfer: Transfer): Promise<void> {
  const { client, entry, blob, path } = transfer;
  // A name of our own: Python's processes write theirs beside it.
  const partial = `${blob}.bertune.incomplete`;
  for (let attempt = 1; ; attempt += 1) {
    const file = await open(partial, 'a+');
    try {
      await expectSpace(entry.size - (await file.stat()).size, blob);
      await fill(transfer, file, partial);
      await file.sync();
    } finally {
      await file.close();
    }
    const found = await hashOf(partial, entry, client.signal);
    if (found === etagOf(entry)) break;
    await rm(partial, { force: true });
    const words = `${path} whose hash is ${found}, not ${etagOf(entry)}`;
    // Once more from the start: what was resumed may have been spoilt.
    if (attempt >= 2) throw hubUnavailable(client.subject, client.settings, new Error(words));
  }
  await rename(partial, blob);
  const directory = await open(dirname(blob), 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

/** Receives until the file has its size. */
async function fill(transfer: Transfer, file: OpenFile, partial: string): Promise<void> {
  const { client, entry } = transfer;
  let failures = 0;
  for (;;) {
    let { size } = await file.stat();
    if (size > entry.size) {
      size = 0;
      await file.truncate(size);
    }
    transfer.onBytes(size);
    if (size === entry.size) return;
    try {
      await receive(transfer, file, size);
      if ((await file.stat()).size < entry.size) throw new TransientFailure('a transfer that ended too early', null);
    } catch (failure) {
      if (failure instanceof TooLong) {
        await rm(partial, { force: true });
        throw hubUnavailable(client.subject, client.settings, failure);
      }
      if (!(failure instanceof TransientFailure)) throw failure;
      const progressed = (await file.stat()).size > size;
      failures = progressed ? 1 : failures + 1;
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
  const stalled = new AbortController();
  const watch = setTimeout(() => stalled.abort(), client.settings.stallTimeout);
  try {
    const range: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
    const response = await client.open(commit, path, { ...range, 'accept-encoding': 'identity' }, stalled.signal);
    let done = start;
    if (start > 0 && !continues(response, start, entry.size)) {
      // The server does not resume: from the start, with what it sends where that is the whole.
      done = 0;
      await file.truncate(done);
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new TransientFailure(`status ${response.status} for the rest of a file`, null);
      }
    }
    if (response.body === null) throw new TransientFailure('an answer without a body', null);
    for await (const chunk of response.body) {
      watch.refresh();
      if (done + chunk.length > entry.size) throw new TooLong(`more than the ${entry.size} bytes of ${path}`);
      await writeFully(file, chunk);
      done += chunk.length;
      onBytes(done);
    }
  } catch (cause) {
    throwIfAborted(client.signal);
    const code = (cause as NodeJS.ErrnoException).code;
    const ours = cause instanceof BertuneError || cause instanceof TransientFailure || cause instanceof TooLong;
    const disk = (cause as NodeJS.ErrnoException).syscall === 'write' && code !== 'EPIPE';
    if (ours || disk) throw cause;
    const seconds = client.settings.stallTimeout / 1000;
    const words = stalled.signal.aborted ? `nothing came for ${seconds} s` : `the transfer broke off`;
    throw new TransientFailure(`${words} (${path})`, null, { cause });
  } finally {
    clearTimeout(watch);
  }
}

/** Whether an answer is the file from byte `start` on. */
function continues(response: Response, start: number, size: number): boolean {
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  return response.status === 206 && Number(from) === start && (total === '*' || Number(total) === size);
}

/** Better before the transfer than near its end. */
async function expectSpace(bytes: number, blob: string): Promise<void> {
  const system = await statfs(dirname(blob)).catch(() => undefined);
  if (system === undefined || system.bavail * system.bsize >= bytes) return;
  throw Object.assign(new Error(`no space for ${bytes} bytes`), { code: 'ENOSPC' });
}

/** SHA-256 of a large file; git's SHA-1, which counts a header in, of one that git keeps. */
async function hashOf(path: string, { sha256, size }: TreeEntry, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash(sha256 === null ? 'sha1' : 'sha256');
  if (sha256 === null) hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    throwIfAborted(signal);
    hash.update(chunk as Buffer);
  }
  return hash.digest('hex');
}

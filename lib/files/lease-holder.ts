import { readFileSync } from 'node:fs';
import { BertuneError } from '../errors.js';
import { loadNative } from '../native/index.js';
import type { OpenFile } from './fs.js';
import { isObject } from './json.js';

/* What the file of a lease holds, and its lock. */

/** Who has a lease. */
export interface LeaseHolder {
  /** Of the worker. */
  readonly token: string;
  readonly host: string;
  readonly pid: number;
  /** Tells one start of a machine from all others; null where the system does not say. */
  readonly boot: string | null;
  readonly since: string;
  /** How far the work is, in words. */
  readonly progress: string;
  /** Whether it was given up. */
  readonly released: boolean;
}

/** Every write is of so many bytes, so that a reader finds the old text or the new one. */
const BYTES = 1024;
const MOST_PROGRESS = 100;

/** Whether the lock of a file is ours now. Where there are no locks, time tells. */
export function lock(file: OpenFile): boolean {
  return locked(file, false);
}

/** Whether nobody has the lock of a file. Several may ask at once. */
export function isUnlocked(file: OpenFile): boolean {
  return locked(file, true);
}

function locked(file: OpenFile, isShared: boolean): boolean {
  try {
    return loadNative().lockFile(file.descriptor, isShared);
  } catch (cause) {
    if (cause instanceof BertuneError && cause.code === 'OUTPUT_REFUSED') return false;
    throw cause;
  }
}

/** Writes who has a lease, flushed. @throws what the file system says */
export async function writeHolder(file: OpenFile, holder: LeaseHolder): Promise<void> {
  const bytes = Buffer.alloc(BYTES, ' ');
  const progress = holder.progress.slice(0, MOST_PROGRESS);
  bytes.write(JSON.stringify({ ...holder, progress }), 'utf8');
  bytes.write('\n', BYTES - 1);
  await file.write(bytes, 0, BYTES, 0);
  await file.sync();
}

/** Who has a lease; undefined where its file does not say it. */
export async function readHolder(file: OpenFile): Promise<LeaseHolder | undefined> {
  const bytes = Buffer.alloc(BYTES);
  const { bytesRead } = await file.read(bytes, 0, BYTES, 0);
  try {
    const json: unknown = JSON.parse(bytes.toString('utf8', 0, bytesRead));
    if (!isObject(json) || typeof json.token !== 'string') return undefined;
    const { token, host, pid, boot, since, progress, released } = json;
    return {
      token,
      host: String(host),
      pid: Number(pid),
      boot: typeof boot === 'string' ? boot : null,
      since: String(since),
      progress: String(progress),
      released: released === true,
    };
  } catch {
    return undefined;
  }
}

let boot: string | null | undefined;

/** Of the running kernel, whose locks of files hold among its processes; null where the system does not say. */
export function bootId(): string | null {
  if (boot === undefined) {
    try {
      boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    } catch {
      boot = null;
    }
  }
  return boot;
}

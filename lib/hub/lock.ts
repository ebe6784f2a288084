import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { link, readFile, rename, rm, stat, utimes, writeFile } from '../files/fs.js';
import { throwIfAborted } from '../time-slice.js';

const POLL_MILLISECONDS = 100;
const BEAT_MILLISECONDS = 5000;
/** Without a sign of life for this long, a holder on another machine counts as gone. */
const STALE_MILLISECONDS = 60_000;

/**
 * Does work that one process at a time may do. The lock is a file that names its holder, who touches it now and then; one
 * whose holder is gone is taken over. It spares double work only: nothing is lost should two hold it.
 *
 * @param path the file, whose directory exists
 * @param signal ends the wait with ABORTED
 */
export async function withLock<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const holder = JSON.stringify({ host: hostname(), pid: process.pid, id: randomBytes(8).toString('hex') });
  while (!(await take(path, holder))) {
    throwIfAborted(signal);
    if (await isStale(path)) await remove(path);
    else await sleep(POLL_MILLISECONDS, undefined, signal ? { signal } : {}).catch(() => undefined);
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, BEAT_MILLISECONDS);
  beat.unref();
  try {
    throwIfAborted(signal);
    return await work();
  } finally {
    clearInterval(beat);
    if ((await readFile(path, 'utf8').catch(() => '')) === holder) await rm(path, { force: true });
  }
}

/** Whether the lock is ours now. A link appears with its contents, so that nobody reads an empty lock. */
async function take(path: string, holder: string): Promise<boolean> {
  const own = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(own, holder);
    await link(own, path);
    return true;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') return false;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw cause;
    // A file system without hard links.
    return writeFile(path, holder, { flag: 'wx' }).then(
      () => true,
      (again: NodeJS.ErrnoException) => {
        if (again.code === 'EEXIST') return false;
        throw again;
      },
    );
  } finally {
    await rm(own, { force: true });
  }
}

/** Whether the holder is gone: its process on this machine, or its signs of life. */
async function isStale(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) return false;
  if (Date.now() - status.mtimeMs > STALE_MILLISECONDS) return true;
  try {
    const { host, pid } = JSON.parse(await readFile(path, 'utf8')) as { host?: unknown; pid?: unknown };
    return host === hostname() && typeof pid === 'number' && !isRunning(pid);
  } catch {
    return false;
  }
}

/** Moved aside first: of several that find it stale, one moves it. */
async function remove(path: string): Promise<void> {
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  await rename(path, aside).catch(() => undefined);
  await rm(aside, { force: true });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}

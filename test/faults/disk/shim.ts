import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Kinds of calls that shim.c counts. */
export type CallKind =
  | 'open'
  | 'write'
  | 'fsync'
  | 'rename'
  | 'mkdir'
  | 'unlink'
  | 'rmdir'
  | 'close'
  | 'truncate'
  | 'link'
  | 'flock';

/** What is done at a call; see shim.c. */
export type Deed =
  | 'kill-before'
  | 'kill-after'
  | 'kill-half'
  | 'short'
  | 'delay'
  | 'int'
  | 'term'
  | 'EIO'
  | 'ENOSPC'
  | 'EROFS'
  | 'EDQUOT'
  | 'EACCES'
  | 'EINTR'
  | 'EFBIG'
  | 'EMFILE';

/** Which calls go wrong, and how. */
export interface Fault {
  /** Counted from 1. Defaults to none. */
  at?: number;
  /** Calls after it that go the same way. Defaults to 0. */
  more?: number;
  do?: Deed;
  /** Kinds that count. Defaults to all. */
  calls?: readonly CallKind[];
  /** Part of the path. Defaults to any. */
  match?: string;
  /** Milliseconds. Defaults to 0. */
  delay?: number;
  /** File for one line a call. Defaults to none. */
  log?: string;
  /** File by which a Controls changes the fault in the running process. Defaults to none. */
  control?: string;
}

/** One line of the log. */
export interface Call {
  /** 0: did not count. */
  n: number;
  kind: CallKind;
  /** What the call returned, or -errno. */
  result: number;
  size: number;
  path: string;
  /** The new name of a rename; else empty. */
  second: string;
}

const SOURCE = fileURLToPath(new URL('shim.c', import.meta.url));
const CONTROL_BYTES = 56;

let built: string | undefined;

/** Why there can be no shim here, or null. */
export function shimMissing(): string | null {
  if (process.platform !== 'linux') return 'LD_PRELOAD is known to Linux only';
  if (spawnSync('cc', ['--version']).status !== 0) return 'there is no C compiler';
  return null;
}

/** Compiles the shim, once a process. */
function shimPath(): string {
  if (built === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'bertune-shim-'));
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    built = join(folder, 'shim.so');
    execFileSync('cc', ['-O2', '-fPIC', '-shared', '-o', built, SOURCE, '-ldl']);
  }
  return built;
}

/**
 * The environment of a process whose calls under a directory go wrong.
 *
 * @param under the directory; it, or the one above it, exists
 */
export function shimEnvironment(under: string, fault: Fault = {}): NodeJS.ProcessEnv {
  const settings: Record<string, string | number | undefined> = {
    SHIM_UNDER: under,
    SHIM_CALLS: fault.calls?.join(','),
    SHIM_MATCH: fault.match,
    SHIM_AT: fault.at,
    SHIM_MORE: fault.more,
    SHIM_DO: fault.do,
    SHIM_DELAY: fault.delay,
    SHIM_LOG: fault.log,
    SHIM_CONTROL: fault.control,
  };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { LD_PRELOAD: shimPath(), UV_USE_IO_URING: '0', ...Object.fromEntries(given.map(([k, v]) => [k, String(v)])) };
}

/** A folder of its own under the system's temporary one, without links in its path. */
export function temporaryFolder(): string {
  return mkdtempSync(join(realpathSync(tmpdir()), 'bertune-disk-'));
}

/** The calls that a process logged, in their order. */
export function readLog(path: string): Call[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [n, kind, result, size, where, second] = line.split('\t');
      return {
        n: Number(n),
        kind: kind as CallKind,
        result: Number(result),
        size: Number(size),
        path: where!,
        second: second!,
      };
    });
}

/** Changes the fault of a running process, which may be this one. */
export class Controls {
  readonly #file: number;

  /** @param path file that createControls made */
  constructor(path: string) {
    this.#file = openSync(path, 'r+');
  }

  /** From the next call on, which counts as the first. */
  arm({ at, more = 0, deed }: { at: number; more?: number; deed: Deed }): void {
    const bytes = Buffer.alloc(CONTROL_BYTES);
    bytes.writeBigInt64LE(BigInt(at), 0);
    bytes.writeBigInt64LE(BigInt(more), 8);
    bytes.write(deed, 24);
    writeSync(this.#file, bytes, 0, CONTROL_BYTES, 0);
  }

  /** Nothing goes wrong any more. Returns how many calls were counted since `arm`. */
  disarm(): number {
    const bytes = Buffer.alloc(CONTROL_BYTES);
    readSync(this.#file, bytes, 0, CONTROL_BYTES, 0);
    writeSync(this.#file, Buffer.alloc(CONTROL_BYTES), 0, CONTROL_BYTES, 0);
    return Number(bytes.readBigInt64LE(16));
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Makes the file that Controls and a process share. */
export function createControls(path: string): void {
  writeFileSync(path, Buffer.alloc(CONTROL_BYTES));
}

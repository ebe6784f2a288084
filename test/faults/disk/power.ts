import { cpSync, existsSync, rmSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Call } from './shim.js';

/**
 * What is on the platter, as a log of calls tells: what was written and not flushed may be lost when the power fails, and
 * so may a name whose directory was not flushed.
 */
export class Platter {
  /** Files with bytes that were not flushed. */
  readonly #dirty = new Set<string>();
  /** Names that their directory's flush has not covered. */
  readonly #unnamed = new Set<string>();
  /** Renames to lasting names of what was not flushed, and lasting names that were never flushed. */
  readonly faults: string[] = [];

  constructor(calls: readonly Call[]) {
    for (const call of calls) if (call.result >= 0) this.#apply(call);
  }

  /** Lasting names whose directory is not flushed yet. */
  get unflushedNames(): string[] {
    return [...this.#unnamed].filter((path) => existsSync(path) && !isTemporary(path));
  }

  #apply({ kind, path, second, size }: Call): void {
    if (kind === 'write' || kind === 'truncate') this.#dirty.add(path);
    else if (kind === 'mkdir' || kind === 'link' || (kind === 'open' && size === 1)) this.#unnamed.add(path);
    else if (kind === 'fsync') {
      this.#dirty.delete(path);
      for (const name of this.#unnamed) if (dirname(name) === path) this.#unnamed.delete(name);
    } else if (kind === 'unlink' || kind === 'rmdir') {
      this.#dirty.delete(path);
      this.#unnamed.delete(path);
    } else if (kind === 'rename') this.#rename(path, second);
  }

  #rename(from: string, to: string): void {
    for (const set of [this.#dirty, this.#unnamed]) {
      for (const path of [...set]) {
        if (path !== from && !path.startsWith(`${from}/`)) continue;
        set.delete(path);
        if (path === from && set === this.#unnamed) continue;
        const now = to + path.slice(from.length);
        set.add(now);
        if (!isTemporary(to)) this.faults.push(`${now} got its name before it was flushed`);
      }
    }
    this.#unnamed.add(to);
  }

  /** Copies a directory as it may be found after the power failed: the worst that may be. */
  losePower(directory: string, copy: string): void {
    rmSync(copy, { recursive: true, force: true });
    cpSync(directory, copy, { recursive: true });
    const inCopy = (path: string) => copy + path.slice(directory.length);
    const below = (path: string) => path.startsWith(`${directory}/`) && existsSync(inCopy(path));
    for (const path of this.#dirty) if (below(path)) truncateSync(inCopy(path), 0);
    for (const path of this.#unnamed) if (below(path)) rmSync(inCopy(path), { recursive: true, force: true });
  }
}

function isTemporary(path: string): boolean {
  return /\.tmp(\/|$)|\.bertune\.lock$/.test(path);
}

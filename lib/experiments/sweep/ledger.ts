import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BertuneError } from '../../errors.js';
import { refusal } from '../../files/errors.js';
import { lstat, mkdir, readdir, rm } from '../../files/fs.js';
import { readJsonObject } from '../../files/input.js';
import { isObject } from '../../files/json.js';
import { type FoundLease, type Lease, Leases } from '../../files/lease.js';
import { DirectoryLock } from '../../files/lock.js';
import { writeJson } from '../../files/output.js';
import { resolveDevice } from '../../model/device.js';
import { environmentRecord } from '../../report/environment.js';
import type { EnvironmentRecord, RunRecord } from '../../report/records.js';
import { PLACES, type PlannedCell } from './plan.js';

/** What is kept of a cell that has come to its end. */
export interface CellResult {
  readonly finished: string;
  readonly environment: EnvironmentRecord;
  /** How often it was begun. */
  readonly attempts: number;
  readonly run: RunRecord;
}

/** A cell that is ours to run. */
export interface TakenCell {
  readonly cell: PlannedCell;
  readonly lease: Lease;
}

/** Which cells have a result, and which somebody has begun with the number of the lease. */
export interface CellStates {
  readonly finished: ReadonlySet<string>;
  readonly leases: ReadonlyMap<string, number>;
}

/** Seconds that the process of a dead worker may take to notice that it is alone. */
const ORPHAN_SECONDS = 30;
const POLL_MILLISECONDS = 100;

/** Settings that are of how a cell is run, and of no consequence for what it comes to. */
const SAVING = ['output_directory', 'save_strategy', 'save_steps', 'save_total_limit'];

/** How many files are read at a time. */
const READERS = 32;

/** What became of the cells of a sweep, in its folder, for all workers on all machines. */
export class Ledger {
  readonly #folder: string;
  readonly #leases: Leases;

  private constructor(folder: string, seconds: number) {
    this.#folder = folder;
    this.#leases = new Leases(join(folder, PLACES.leases), seconds);
  }

  /**
   * @param seconds after which a worker on another machine that has not been heard of counts as dead
   * @throws BertuneError OUTPUT_REFUSED
   */
  static async open(folder: string, seconds: number): Promise<Ledger> {
    for (const place of [PLACES.results, PLACES.leases, PLACES.runs]) {
      const path = join(folder, place);
      await mkdir(path, { recursive: true }).catch((cause) => {
        throw refusal(path, cause);
      });
    }
    return new Ledger(folder, seconds);
  }

  /** What every cell has come to, by the names of files alone. @throws BertuneError OUTPUT_REFUSED */
  async states(): Promise<CellStates> {
    // Leases first: one that is finished in between has its result by then.
    const leases = await this.#leases.list();
    const place = join(this.#folder, PLACES.results);
    const names = await readdir(place).catch((cause) => {
      throw refusal(place, cause);
    });
    return { finished: new Set(names.flatMap((name) => /^([0-9a-f]{16})\.json$/.exec(name)?.[1] ?? [])), leases };
  }

  /** @throws BertuneError OUTPUT_REFUSED where somebody runs one of the cells */
  async expectIdle(): Promise<void> {
    const { finished, leases } = await this.states();
    for (const [id, number] of leases) {
      const lease = finished.has(id) ? undefined : await this.find(id, number);
      if (lease === undefined || lease.isFree) continue;
      const { host = 'another machine', pid = 'unknown' } = lease.holder ?? {};
      throw new BertuneError(
        'OUTPUT_REFUSED',
        `Process ${pid} on ${host} runs cells of the sweep in ${this.#folder}; wait for it or stop it first, or plan in another folder`,
      );
    }
  }

  /**
   * Takes the first cell that has no result and no worker.
   *
   * @param again those that are run although they have one: when they had come to it, by their ids
   * @returns undefined where there is none
   * @throws BertuneError OUTPUT_REFUSED
   */
  async takeOne(cells: readonly PlannedCell[], again: Map<string, string>): Promise<TakenCell | undefined> {
    const { finished, leases } = await this.states();
    for (const cell of cells) {
      if (finished.has(cell.id) && !again.has(cell.id)) continue;
      const lease = await this.#leases.take(cell.id, leases.get(cell.id) ?? 0);
      if (lease === null) continue;
      // Its worker may have finished since we looked.
      if (await this.#isOpen(cell.id, again)) return { cell, lease };
      await lease.release();
    }
    return undefined;
  }

  /**
   * Waits until it is known of every cell that a worker elsewhere runs whether that one is alive: for `seconds` at most.
   *
   * @param onWait told how many cells it is about, before anything is waited for
   * @returns whether one of them is dead, so that there is a cell to take
   * @throws BertuneError OUTPUT_REFUSED
   */
  async findDead(
    cells: readonly PlannedCell[],
    signal: AbortSignal,
    onWait: (cells: number) => void,
  ): Promise<boolean> {
    const { finished, leases } = await this.states();
    const seen = new Map<string, number>();
    let rounds = 0;
    while (!signal.aborted) {
      let unknown = 0;
      for (const { id } of cells) {
        const number = leases.get(id);
        if (number === undefined || finished.has(id)) continue;
        const found = await this.find(id, number);
        if (found === undefined || found.isNear) continue;
        if (found.isFree) return true;
        const before = seen.get(id) ?? found.written;
        seen.set(id, before);
        if (before === found.written) unknown++;
      }
      if (unknown === 0) break;
      if (rounds++ === 0) onWait(unknown);
      await sleep(POLL_MILLISECONDS * 5, undefined, { signal }).catch(() => undefined);
    }
    return false;
  }

  /** Whether a cell that is ours has no result, or none but the one that is to be replaced. */
  async #isOpen(id: string, again: Map<string, string>): Promise<boolean> {
    if (!(await isThere(this.#resultPath(id)))) return true;
    const before = again.get(id);
    again.delete(id);
    return before !== undefined && (await this.results([id])).get(id)!.finished === before;
  }

  /** Waits until the process that a dead worker leaves behind has ended too, or the signal is aborted. @throws BertuneError OUTPUT_REFUSED */
  async expectAlone({ cell }: TakenCell, signal: AbortSignal): Promise<void> {
    const place = join(this.#folder, PLACES.runs, cell.id);
    await mkdir(place, { recursive: true }).catch((cause) => {
      throw refusal(place, cause);
    });
    for (const until = performance.now() + 1000 * ORPHAN_SECONDS; ; ) {
      try {
        await (await DirectoryLock.take(place)).release();
        return;
      } catch (cause) {
        if (performance.now() > until) throw cause;
        await sleep(POLL_MILLISECONDS, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return;
      }
    }
  }

  /** Keeps what a cell has come to, whole, and gives it back. @throws BertuneError OUTPUT_REFUSED */
  async keep({ cell, lease }: TakenCell, run: RunRecord, environment: EnvironmentRecord): Promise<void> {
    if (!(await lease.renew())) return lease.release();
    const settings = Object.fromEntries(Object.entries(run.settings).filter(([name]) => !SAVING.includes(name)));
    const result: CellResult = {
      finished: new Date().toISOString(),
      environment,
      attempts: lease.attempts + 1,
      run: { ...run, settings },
    };
    await writeJson(this.#resultPath(cell.id), result);
    if (run.status === 'failed') return lease.release();
    await this.#finish(cell.id, lease);
  }

  /** Removes what workers that died after they had kept a result have left of its cell. @throws BertuneError OUTPUT_REFUSED */
  async tidy(): Promise<void> {
    const { finished, leases } = await this.states();
    const left = [...leases.keys()].filter((id) => finished.has(id));
    for (const [id, { run }] of await this.results(left)) {
      if (run.status === 'failed') continue;
      const lease = await this.#leases.take(id, leases.get(id)!);
      if (lease !== null) await this.#finish(id, lease);
    }
  }

  async #finish(id: string, lease: Lease): Promise<void> {
    await rm(join(this.#folder, PLACES.runs, id), { recursive: true, force: true });
    await lease.finish();
  }

  /** The results of cells, by their ids. One whose file cannot be read is that of a run that has failed. */
  async results(ids: Iterable<string>): Promise<Map<string, CellResult>> {
    const waiting = [...ids];
    const results = new Map<string, CellResult>();
    const read = async () => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        results.set(id, await readResult(id, this.#resultPath(id)));
      }
    };
    await Promise.all(Array.from({ length: READERS }, read));
    return results;
  }

  /** Who runs a cell; undefined where the lease is gone. */
  find(id: string, number: number): Promise<FoundLease | undefined> {
    return this.#leases.find(id, number);
  }

  #resultPath(id: string): string {
    return join(this.#folder, PLACES.results, `${id}.json`);
  }
}

async function readResult(id: string, path: string): Promise<CellResult> {
  try {
    const json = await readJsonObject(path, 'INVALID_DATA');
    if (isObject(json.run) && isObject(json.environment)) return json as unknown as CellResult;
    throw new BertuneError('INVALID_DATA', `Expected the result of a run in ${path}`);
  } catch (cause) {
    if (!(cause instanceof BertuneError)) throw cause;
    const error = { code: cause.code, message: `${cause.message}; --retry-failed runs the cell again` };
    const nothing = { settings: {}, epoch_history: [], log_history: [] };
    const run: RunRecord = { name: id, title: id, method: { kind: 'none' }, status: 'failed', error, ...nothing };
    return { finished: '', environment: environmentRecord(resolveDevice({ device: 'cpu' })), attempts: 0, run };
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { findRanks } from '../../distributed/ranks.js';
import { type DeviceOptions, resolveDevice } from '../../model/device.js';

/** What one of several workers on a machine computes on. */
export interface Slot {
  readonly where: DeviceOptions;
  /** Variables of its processes. */
  readonly environment: NodeJS.ProcessEnv;
}

/** What workers share. */
interface Machine {
  readonly device: string;
  /** The names of its GPUs in CUDA_VISIBLE_DEVICES; none where they are not known. */
  readonly gpus: readonly string[];
  /** Which this process is of those that were started together here, each with workers of its own. */
  readonly localRank: number;
}

/**
 * Shares a machine among workers: GPUs in turn where there are several, and the threads.
 *
 * @param machine Defaults to this one
 * @throws BertuneError as resolveDevice
 */
export function slotsOf(jobs: number, where: DeviceOptions, machine = machineOf(where)): Slot[] {
  const { device, gpus, localRank } = machine;
  const threads = Math.max(1, Math.floor(availableParallelism() / jobs));
  // One that was named is the GPU of all.
  const isNamed = where.device?.includes(':') ?? false;
  const isShared = device !== 'cpu' && gpus.length > 1 && !isNamed;
  return Array.from({ length: jobs }, (_, job) => ({
    where: jobs > 1 && where.threads === undefined ? { ...where, threads } : where,
    environment: isShared ? { CUDA_VISIBLE_DEVICES: gpus[(localRank * jobs + job) % gpus.length] } : {},
  }));
}

function machineOf(where: DeviceOptions): Machine {
  const { device } = resolveDevice(where);
  const gpus = device === 'cpu' ? [] : gpuNames(process.env);
  return { device, gpus, localRank: findRanks()?.localRank ?? 0 };
}

/** The GPUs that processes here may use; none where it cannot be found out. */
export function gpuNames({ CUDA_VISIBLE_DEVICES: visible }: NodeJS.ProcessEnv): string[] {
  if (visible !== undefined) return visible.split(',').flatMap((name) => name.trim() || []);
  const { stdout } = spawnSync('nvidia-smi', ['--query-gpu=index', '--format=csv,noheader'], { encoding: 'utf8' });
  return (stdout ?? '').split('\n').filter((line) => /^\d+$/.test(line));
}

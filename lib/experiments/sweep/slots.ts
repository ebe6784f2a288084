import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { type DeviceOptions, resolveDevice } from '../../model/device.js';

/** What one of several workers on a machine computes on. */
export interface Slot {
  readonly where: DeviceOptions;
  /** Variables of its processes. */
  readonly environment: NodeJS.ProcessEnv;
}

/**
 * Shares a machine among workers: GPUs in turn where there are some, else the threads.
 *
 * @param gpus their names in CUDA_VISIBLE_DEVICES. Defaults to those that are there
 * @throws BertuneError as resolveDevice
 */
export function slotsOf(jobs: number, where: DeviceOptions, gpus = () => gpuNames(process.env)): Slot[] {
  const { device } = resolveDevice(where);
  const names = device === 'cpu' ? [] : gpus();
  const threads = Math.max(1, Math.floor(availableParallelism() / jobs));
  return Array.from({ length: jobs }, (_, job) => ({
    where: jobs > 1 && where.threads === undefined ? { ...where, threads } : where,
    environment: names.length > 1 ? { CUDA_VISIBLE_DEVICES: names[job % names.length] } : {},
  }));
}

/** The GPUs that processes here may use; none where it cannot be found out. */
function gpuNames({ CUDA_VISIBLE_DEVICES: visible }: NodeJS.ProcessEnv): string[] {
  if (visible !== undefined) return visible.split(',').filter((name) => name.trim() !== '');
  const { stdout } = spawnSync('nvidia-smi', ['--query-gpu=index', '--format=csv,noheader'], { encoding: 'utf8' });
  return (stdout ?? '').split('\n').filter((line) => /^\d+$/.test(line));
}

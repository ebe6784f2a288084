import { availableParallelism, cpus } from 'node:os';
import { findRanks } from '../distributed/ranks.js';
import { BertuneError } from '../errors.js';
import { loadNative, type NativeDevice, type NativeDeviceInfo, type NativePrecision } from '../native/index.js';
import { option } from '../options/names.js';
import { expectOneOf, expectPositiveInteger, invalidOption } from '../options/validation.js';

/** Where to compute. 'auto': on the GPU where there is a usable one, otherwise on the CPU. */
export type Device = 'auto' | 'cpu' | 'cuda';

/**
 * Arithmetic. 'tf32' exists on the GPU only, 'fp64' and 'int8' on the CPU only. On the CPU, 'bf16' and 'int8' are the
 * arithmetic of products with weights, where the processor has instructions for it; 'int8' is for prediction alone.
 */
export type Precision = NativePrecision;

/** What a caller can ask of the machine. */
export interface DeviceOptions {
  /** Defaults to 'auto'. */
  device?: Device | undefined;
  /** 'auto': bf16 where it is fast, otherwise fp32. Defaults to 'bf16' on the GPU and 'fp32' on the CPU. */
  precision?: Precision | 'auto' | undefined;
  /** Worker threads on the CPU, at most 1,024. Defaults to the processors available to the process; to its share of them where mpirun started several. */
  threads?: number | undefined;
}

/** What a model computes on. */
export interface ResolvedDevice {
  device: NativeDevice;
  precision: NativePrecision;
  threads: number;
}

/** What the addon starts. */
const MOST_THREADS = 1024;

const DEVICES = ['auto', 'cpu', 'cuda'];

const PRECISIONS = ['auto', 'fp32', 'fp64', 'tf32', 'bf16', 'int8'] as const;

/**
 * Settles where and how to compute.
 *
 * @param devices what there is. Defaults to what the native addon finds.
 * @throws BertuneError INVALID_OPTION; CUDA_UNAVAILABLE with the reason when the GPU was asked for; NATIVE_UNAVAILABLE
 */
export function resolveDevice(options: DeviceOptions, devices: () => NativeDeviceInfo[] = listDevices): ResolvedDevice {
  const asked: string = options.device ?? 'auto';
  const known = devices();
  // A device that was added to the addon is taken by its name.
  const added = DEVICES.includes(asked) ? [] : known.map(({ device }) => device);
  const wanted = expectOneOf('device', asked, [...new Set([...DEVICES, ...added])]);
  const usualThreads = Math.min(ownProcessors(), MOST_THREADS);
  const threads = expectPositiveInteger('threads', options.threads ?? usualThreads, MOST_THREADS);
  const name = wanted === 'auto' ? 'cuda' : wanted;
  const gpu = name === 'cpu' ? undefined : known.find(({ device }) => device === name);
  if (wanted !== 'auto' && wanted !== 'cpu' && !gpu?.available) {
    const reason = gpu?.reason ?? 'this build has no CUDA backend';
    throw new BertuneError(
      'CUDA_UNAVAILABLE',
      `Expected a usable GPU for ${option('device', wanted)} but ${reason}; use ${option('device', 'cpu')} or ${option('device', 'auto')}`,
    );
  }
  const found = gpu?.available ? gpu : known.find(({ device }) => device === 'cpu')!;
  const usual = found.device === 'cpu' ? 'fp32' : 'bf16';
  const chosen = expectOneOf('precision', options.precision ?? usual, PRECISIONS);
  const precision = chosen === 'auto' ? (found.precisions.includes('bf16') ? 'bf16' : 'fp32') : chosen;
  if (!found.precisions.includes(precision)) {
    throw invalidOption('precision', `one of ${found.precisions.join(', ')} on ${found.device}`, precision);
  }
  return { device: found.device, precision, threads };
}

/** The processors that are available to this process, less those of the ranks on the same machine. */
function ownProcessors(): number {
  const available = availableParallelism();
  const ranks = findRanks();
  // Fewer than there are: what started the ranks has shared them out already.
  if (ranks === null || available < cpus().length) return available;
  return Math.max(1, Math.floor(available / ranks.localSize));
}

function listDevices(): NativeDeviceInfo[] {
  return loadNative().devices();
}

import { availableParallelism, cpus } from 'node:os';
import { findRanks } from '../distributed/ranks.js';
import { BertuneError } from '../errors.js';
import { loadNative, type NativeDevice, type NativeDeviceInfo, type NativePrecision } from '../native/index.js';
import { option } from '../options/names.js';
import { expectOneOf, expectPositiveInteger, invalidOption } from '../options/validation.js';

/**
 * Where to compute. 'auto': on the GPU if there is a usable one, otherwise on the CPU. 'cuda:1' is the second of several GPUs;
 * 'cuda' is the first or, in processes started together on a machine, the one with the process's rank.
 */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/**
 * Arithmetic. 'tf32' exists only on the GPU, 'fp64' and 'int8' only on the CPU. On the CPU, 'bf16' and 'int8' apply to products
 * with weights and require a processor with such instructions; 'int8' is for prediction only.
 */
export type Precision = NativePrecision;

/** Device, precision and threads. */
export interface DeviceOptions {
  /** Defaults to 'auto'. */
  device?: Device | undefined;
  /** 'auto': bf16 if the processor has instructions for it, otherwise fp32. Defaults to 'bf16' on the GPU and 'fp32' on the CPU. */
  precision?: Precision | 'auto' | undefined;
  /**
   * Worker threads on the CPU, at most 1,024. Defaults to the processors available to the process, or its share of them if
   * mpirun started several.
   */
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
  const known = devices();
  const wanted = expectDevice(options.device ?? 'auto', known);
  const usualThreads = Math.min(ownProcessors(), MOST_THREADS);
  const threads = expectPositiveInteger('threads', options.threads ?? usualThreads, MOST_THREADS);
  const name = wanted === 'auto' ? 'cuda' : wanted;
  const gpu = name === 'cpu' ? undefined : findGpu(name, known);
  // A process for which there is no GPU left does not go to the CPU while the others are on theirs.
  const isOptional =
    wanted === 'auto' && (gpu !== undefined || !gpusOf(name, known).some(({ available }) => available));
  if (name !== 'cpu' && !gpu?.available && !isOptional) {
    const reason = gpu?.reason ?? missingGpu(name, known);
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

/** A device that can be named: also one that was added to the addon, and each GPU of several. */
function expectDevice(asked: unknown, known: readonly NativeDeviceInfo[]): string {
  if (typeof asked === 'string') {
    const { kind, ordinal } = partsOf(asked);
    if (DEVICES.includes(asked) || (kind === 'cuda' && ordinal !== null)) return asked;
    // An added one is not spoken of.
    if (kind !== 'cpu' && known.some(({ device }) => device === kind)) return asked;
  }
  throw invalidOption('device', `one of ${[...DEVICES, 'cuda:1'].join(', ')} (the second GPU)`, asked);
}

/** `cuda:1` is of the kind `cuda`; the ordinal is null without one. */
function partsOf(device: string): { kind: string; ordinal: number | null } {
  const [, kind, digits] = /^([^:]+):(\d{1,4})$/.exec(device) ?? [];
  return kind === undefined ? { kind: device, ordinal: null } : { kind, ordinal: Number(digits) };
}

/** The GPUs of a kind, by their numbers: the first has the name of the kind. */
function gpusOf(kind: string, known: readonly NativeDeviceInfo[]): NativeDeviceInfo[] {
  return known.filter(({ device }) => partsOf(device).kind === kind);
}

function findGpu(wanted: string, known: readonly NativeDeviceInfo[]): NativeDeviceInfo | undefined {
  const { kind, ordinal } = partsOf(wanted);
  const gpus = gpusOf(kind, known);
  // A process that sees one GPU was given it.
  return gpus[ordinal ?? (gpus.length > 1 ? (findRanks()?.localRank ?? 0) : 0)];
}

function missingGpu(wanted: string, known: readonly NativeDeviceInfo[]): string {
  const { kind, ordinal } = partsOf(wanted);
  const { length } = gpusOf(kind, known);
  if (length === 0) return 'this build has no CUDA backend';
  const there =
    length === 1
      ? `this machine has 1 GPU, ${kind}:0`
      : `this machine has ${length} GPUs, ${kind}:0 to ${kind}:${length - 1}`;
  return ordinal === null ? `${there}, and this is process ${findRanks()!.localRank} on it, counted from 0` : there;
}

/** What a kind of device is called, whichever of several it is. */
export function kindOf(device: NativeDevice): NativeDevice {
  return partsOf(device).kind;
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

import { availableParallelism } from 'node:os';
import { BertuneError } from '../errors.js';
import { loadNative, type NativeDevice, type NativeDeviceInfo, type NativePrecision } from '../native.js';
import { expectOneOf, expectPositiveInteger, invalidOption } from '../options.js';

/** Where to compute. 'auto': on the GPU where there is a usable one, otherwise on the CPU. */
export type Device = 'auto' | 'cpu' | 'cuda';

/** Arithmetic. 'fp64' exists on the CPU only, 'tf32' and 'bf16' on the GPU only. */
export type Precision = NativePrecision;

/** What a caller can ask of the machine. */
export interface DeviceOptions {
  /** Defaults to 'auto'. */
  device?: Device;
  /** Defaults to 'fp32'. */
  precision?: Precision;
  /** Worker threads on the CPU. Defaults to the processors available to the process. */
  threads?: number;
}

/** What a model computes on. */
export interface ResolvedDevice {
  device: NativeDevice;
  precision: NativePrecision;
  threads: number;
}

const PRECISIONS = ['fp32', 'fp64', 'tf32', 'bf16'] as const satisfies readonly Precision[];

/**
 * Settles where and how to compute.
 *
 * @param devices what there is. Defaults to what the native addon finds.
 * @throws BertuneError INVALID_OPTION; CUDA_UNAVAILABLE with the reason when the GPU was asked for; NATIVE_UNAVAILABLE
 */
export function resolveDevice(options: DeviceOptions, devices: () => NativeDeviceInfo[] = listDevices): ResolvedDevice {
  const wanted = expectOneOf('device', options.device ?? 'auto', ['auto', 'cpu', 'cuda']);
  const precision = expectOneOf('precision', options.precision ?? 'fp32', PRECISIONS);
  const threads = expectPositiveInteger('threads', options.threads ?? availableParallelism());
  const cuda = wanted === 'cpu' ? undefined : devices().find(({ device }) => device === 'cuda');
  if (wanted === 'cuda' && !cuda?.available) {
    const reason = cuda?.reason ?? 'this build has no CUDA backend';
    throw new BertuneError('CUDA_UNAVAILABLE', `Expected a usable GPU for device 'cuda' but ${reason}`);
  }
  const device = cuda?.available ? 'cuda' : 'cpu';
  const able = device === 'cuda' ? cuda!.precisions : (['fp32', 'fp64'] as const);
  if (!(able as readonly Precision[]).includes(precision)) {
    throw invalidOption('precision', `one of ${able.join(', ')} on ${device}`, precision);
  }
  return { device, precision, threads };
}

function listDevices(): NativeDeviceInfo[] {
  return loadNative().devices();
}

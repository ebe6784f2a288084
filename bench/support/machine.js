// What a figure was measured on.
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import { load } from './library.js';
import { withEmulator } from './operations.js';

const { loadNative } = await load('native/index');
const { blasName, processorName } = await load('report/environment');

/**
 * The device to run on.
 *
 * @throws where it cannot be used, with the reason
 */
export function findDevice(name) {
  const devices = withEmulator(loadNative()).devices();
  const found = devices.find(({ device }) => device === name);
  if (!found)
    throw new Error(
      `Expected one of ${devices.map(({ device }) => device).join(', ')} for --device but received ${name}`,
    );
  if (!found.available) throw new Error(`Expected a device that can be used but ${name} cannot: ${found.reason}`);
  return found;
}

/** Precisions to run: those asked for, or all that the device computes fast in. */
export function findPrecisions(device, wanted) {
  const all =
    device.device === 'cpu' ? ['fp32'] : ['bf16', 'tf32', 'fp32'].filter((name) => device.precisions.includes(name));
  const chosen = wanted?.split(',') ?? all;
  const unknown = chosen.find((name) => !device.precisions.includes(name));
  if (unknown) throw new Error(`Expected ${device.precisions.join(', ')} for --precision but received ${unknown}`);
  return chosen;
}

/** The GPU's driver and clock as nvidia-smi has them; nothing where it is not. */
function describeDriver() {
  const query = ['--query-gpu=driver_version,clocks.max.sm,power.limit', '--format=csv,noheader'];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8' });
  return status === 0 ? { driver: stdout.trim().split('\n')[0] } : {};
}

/** Device, library versions, threads. */
export function describeMachine(device, threads) {
  return {
    bertune: loadNative().version,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch} ${os.release()}`,
    processor: processorName(),
    blas: blasName(),
    device: device.device,
    name: device.name,
    memory_MiB: Math.round(device.totalMemory / 2 ** 20),
    libraries: device.libraries,
    ...(device.device === 'cuda' && describeDriver()),
    threads,
  };
}

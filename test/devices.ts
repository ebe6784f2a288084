import { withEmulator } from '../bench/support/operations.js';
import { loadNative, type NativeDeviceInfo } from '../lib/native/index.js';

/** The devices that can be used here, or those of them that BERTUNE_TEST_DEVICES lists, e.g. `cpu,cuda`. */
export function devices(): NativeDeviceInfo[] {
  const wanted = process.env.BERTUNE_TEST_DEVICES?.split(',');
  return withEmulator(loadNative())
    .devices()
    .filter(({ available, device }) => available && (!wanted || wanted.includes(device)));
}

/** Those of the devices that run CUDA, the emulated one among them. */
export function gpus(): NativeDeviceInfo[] {
  return devices().filter(({ device }) => device !== 'cpu');
}

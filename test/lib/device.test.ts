import { availableParallelism } from 'node:os';
import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { type DeviceOptions, resolveDevice } from '../../lib/model/device.js';
import type { NativeDeviceInfo } from '../../lib/native/index.js';

const CPU: NativeDeviceInfo = {
  device: 'cpu',
  name: 'a processor',
  totalMemory: 0,
  available: true,
  precisions: ['fp32', 'fp64'],
  libraries: '',
};
const GPU: NativeDeviceInfo = {
  device: 'cuda',
  name: 'a GPU',
  totalMemory: 1,
  available: true,
  precisions: ['fp32', 'tf32', 'bf16'],
  libraries: 'CUDA 13.0',
};
const NO_GPU: NativeDeviceInfo = { ...GPU, available: false, reason: 'no driver was found' };

const ADDED: NativeDeviceInfo = { ...GPU, device: 'cuda-emulated' };

const withGpu = (options: DeviceOptions) => resolveDevice(options, () => [CPU, GPU]);
const without = (options: DeviceOptions) => resolveDevice(options, () => [CPU, NO_GPU]);

describe('device', () => {
  it('is the GPU where there is one, and the CPU otherwise', () => {
    const threads = availableParallelism();
    expect(withGpu({})).to.deep.equal({ device: 'cuda', precision: 'bf16', threads });
    expect(without({})).to.deep.equal({ device: 'cpu', precision: 'fp32', threads });
    expect(resolveDevice({}, () => [CPU]).device).to.equal('cpu');
    expect(resolveDevice({}, () => [CPU, NO_GPU, ADDED]).device, 'one that was added is never chosen').to.equal('cpu');
  });

  it('is what was asked for', () => {
    expect(withGpu({ device: 'cpu', threads: 3 })).to.deep.equal({ device: 'cpu', precision: 'fp32', threads: 3 });
    expect(withGpu({ device: 'cuda', precision: 'bf16' }).precision).to.equal('bf16');
    expect(without({ precision: 'fp64' }).precision).to.equal('fp64');
  });

  it('is one that was added to the addon where it is named', () => {
    const added = { device: 'cuda-emulated' as 'cuda', precision: 'fp32' as const };
    expect(resolveDevice(added, () => [CPU, NO_GPU, ADDED]).device).to.equal('cuda-emulated');
    expect(() => without(added))
      .to.throw(BertuneError)
      .with.property('code', 'INVALID_OPTION');
  });

  it('says why a GPU cannot be used', () => {
    expect(() => without({ device: 'cuda' }))
      .to.throw(BertuneError, 'no driver was found')
      .with.property('code', 'CUDA_UNAVAILABLE');
    expect(() => resolveDevice({ device: 'cuda' }, () => [CPU]))
      .to.throw(BertuneError)
      .with.property('code', 'CUDA_UNAVAILABLE');
  });

  const REFUSED: [DeviceOptions, string][] = [
    [{ device: 'gpu' as 'cuda' }, 'one of auto, cpu, cuda'],
    [{ precision: 'bf16' }, 'one of fp32, fp64 on cpu'],
    [{ precision: 'fp16' as 'bf16' }, 'precision'],
    [{ threads: 0 }, 'Expected a positive integer for threads but received 0'],
  ];
  for (const [options, words] of REFUSED) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      expect(() => without(options))
        .to.throw(BertuneError, words)
        .with.property('code', 'INVALID_OPTION');
    });
  }
  it('refuses fp64 on the GPU', () => {
    expect(() => withGpu({ precision: 'fp64' })).to.throw(BertuneError, 'one of fp32, tf32, bf16 on cuda');
  });
});

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

  describe('of several GPUs', () => {
    const four = [CPU, ...['cuda', 'cuda:1', 'cuda:2', 'cuda:3'].map((device) => ({ ...GPU, device }))];
    const chosen = (options: DeviceOptions, known = four) => resolveDevice(options, () => known).device;
    const launched = ['RANK', 'WORLD_SIZE', 'LOCAL_RANK'];
    afterEach(() => {
      for (const name of launched) delete process.env[name];
    });

    it('is the first, or the one that is named', () => {
      expect(chosen({})).to.equal('cuda');
      expect(chosen({ device: 'cuda' })).to.equal('cuda');
      expect(chosen({ device: 'cuda:0' })).to.equal('cuda');
      expect(chosen({ device: 'cuda:3' })).to.equal('cuda:3');
    });

    it('is that of the number on its machine of a process that others were started with', () => {
      Object.assign(process.env, { RANK: '6', WORLD_SIZE: '8', LOCAL_RANK: '2' });
      expect(chosen({})).to.equal('cuda:2');
      expect(chosen({ device: 'cuda' })).to.equal('cuda:2');
      expect(chosen({ device: 'cuda:1' }), 'one that is named').to.equal('cuda:1');
      expect(chosen({}, [CPU, GPU]), 'the only one it sees').to.equal('cuda');
      process.env.LOCAL_RANK = '5';
      for (const options of [{}, { device: 'cuda' }] as const)
        expect(() => chosen(options)).to.throw(
          BertuneError,
          'this machine has 4 GPUs, cuda:0 to cuda:3, and this is process 5 on it, counted from 0',
        );
      expect(chosen({}, [CPU, NO_GPU])).to.equal('cpu');
    });

    it('says how many there are where one is not there', () => {
      for (const [known, words] of [
        [four, 'but this machine has 4 GPUs, cuda:0 to cuda:3; use'],
        [[CPU, GPU], 'but this machine has 1 GPU, cuda:0; use'],
        [[CPU], 'but this build has no CUDA backend; use'],
      ] as const)
        expect(() => chosen({ device: 'cuda:7' }, [...known]))
          .to.throw(BertuneError, words)
          .with.property('code', 'CUDA_UNAVAILABLE');
      for (const device of ['cuda:', 'cuda:x', 'cuda:-1', 'cpu:1', 'cuda:1:1'])
        expect(() => chosen({ device: device as 'cuda' }), device)
          .to.throw(BertuneError)
          .with.property('code', 'INVALID_OPTION');
    });
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
    [{ device: 'gpu' as 'cuda' }, 'one of auto, cpu, cuda, cuda:1 (the second GPU) for device'],
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

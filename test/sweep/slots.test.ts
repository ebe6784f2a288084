import { availableParallelism } from 'node:os';
import { expect } from 'chai';
import { gpuNames, slotsOf } from '../../lib/experiments/sweep/slots.js';

const GPUS = { device: 'cuda', gpus: ['2', 'GPU-5'], localRank: 0 };
const CPU = { device: 'cpu', gpus: [], localRank: 0 };

describe('what the workers of a machine compute on', () => {
  it('are its GPUs in turn', () => {
    const visible = slotsOf(3, {}, GPUS).map(({ environment }) => environment.CUDA_VISIBLE_DEVICES);
    expect(visible).to.deep.equal(['2', 'GPU-5', '2']);
    expect(slotsOf(1, {}, { ...GPUS, gpus: ['0'] })).to.deep.equal([{ where: {}, environment: {} }]);
  });

  it('are other GPUs than those of the processes beside', () => {
    const visible = (jobs: number, localRank: number) =>
      slotsOf(jobs, {}, { ...GPUS, gpus: ['0', '1', '2', '3'], localRank }).map(
        ({ environment }) => environment.CUDA_VISIBLE_DEVICES,
      );
    expect([0, 1, 2, 3].flatMap((rank) => visible(1, rank))).to.deep.equal(['0', '1', '2', '3']);
    expect([0, 1].flatMap((rank) => visible(2, rank))).to.deep.equal(['0', '1', '2', '3']);
  });

  it('are one GPU where that is named', () => {
    const visible = slotsOf(2, { device: 'cuda:1' }, GPUS).map(({ environment }) => environment);
    expect(visible).to.deep.equal([{}, {}]);
  });

  it('are its threads, unless the plan says how many', () => {
    const each = Math.max(1, Math.floor(availableParallelism() / 2));
    expect(slotsOf(2, {}, CPU).map(({ where }) => where.threads)).to.deep.equal([each, each]);
    expect(slotsOf(1000, {}, CPU)[999]?.where.threads).to.equal(1);
    expect(slotsOf(2, { threads: 7 }, CPU)[1]?.where.threads).to.equal(7);
    expect(slotsOf(1, {}, CPU)).to.deep.equal([{ where: {}, environment: {} }]);
  });

  it('are the GPUs that the environment shows', () => {
    expect(gpuNames({ CUDA_VISIBLE_DEVICES: '3, 1' })).to.deep.equal(['3', '1']);
    expect(gpuNames({ CUDA_VISIBLE_DEVICES: '' })).to.deep.equal([]);
  });
});

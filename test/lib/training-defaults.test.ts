import { expect } from 'chai';
import { METHOD_KINDS } from '../../lib/methods.js';
import {
  defaultEpochs,
  defaultEpochsReason,
  defaultLearningRate,
  defaultLoggingSteps,
  defaultWarmupSteps,
} from '../../lib/training/defaults.js';
import { expectRefusal } from './files.js';

describe('defaults of training', () => {
  it('take the learning rate from method and hidden size', () => {
    const rates = (hiddenSize: number) => METHOD_KINDS.map((kind) => [kind, defaultLearningRate(kind, hiddenSize)]);
    expect(rates(256)).to.deep.equal([
      ['full', 3e-4],
      ['linear', 1e-2],
      ['prefix', 6e-4],
      ['lora', 1.5e-3],
    ]);
    expect(rates(768)).to.deep.equal([
      ['full', 5e-5],
      ['linear', 1e-3],
      ['prefix', 5e-4],
      ['lora', 3e-4],
    ]);
    expect(rates(1024)).to.deep.equal([
      ['full', 2e-5],
      ['linear', 8e-4],
      ['prefix', 3e-4],
      ['lora', 2e-4],
    ]);
  });

  it('draw a straight line of logarithms between sizes, and stay at the ends beyond them', () => {
    // Half-way between 256 and 768 in logarithms is the geometric mean of both sizes, and of both rates.
    const middle = Math.round(Math.sqrt(256 * 768));
    expect(defaultLearningRate('full', middle)).to.equal(Number(Math.sqrt(3e-4 * 5e-5).toPrecision(2)));
    for (const kind of METHOD_KINDS) {
      expect(defaultLearningRate(kind, 128)).to.equal(defaultLearningRate(kind, 256));
      expect(defaultLearningRate(kind, 4096)).to.equal(defaultLearningRate(kind, 1024));
      const falling = [256, 300, 384, 512, 640, 768, 900, 1024].map((size) => defaultLearningRate(kind, size));
      expect(falling).to.deep.equal([...falling].sort((a, b) => b - a));
      for (const rate of falling) expect(rate).to.equal(Number(rate.toPrecision(2)));
    }
  });

  it('refuse another method, and a size that is none', async () => {
    await expectRefusal(() => defaultLearningRate('bitfit' as 'full', 768), 'INVALID_OPTION', 'method');
    await expectRefusal(() => defaultLearningRate('full', 0), 'INVALID_OPTION', 'hiddenSize');
  });

  it('take as many epochs as come to enough steps: at least 3, at most 40', () => {
    const epochs = (method: 'full' | 'linear', steps: number) => [
      defaultEpochs(method, steps),
      defaultEpochsReason(method, steps),
    ];
    expect(epochs('full', 1000)).to.deep.equal([3, '3 epochs']);
    expect(epochs('full', 200)).to.deep.equal([3, '3 epochs']);
    expect(epochs('full', 199)).to.deep.equal([4, 'at least 600 steps']);
    expect(epochs('full', 15)).to.deep.equal([40, 'at least 600 steps']);
    expect(epochs('full', 14)).to.deep.equal([40, 'at most 40 epochs']);
    expect(epochs('full', 1)).to.deep.equal([40, 'at most 40 epochs']);
    expect(epochs('linear', 100)).to.deep.equal([20, 'at least 2000 steps']);
  });

  it('warm up for a tenth of the steps, and not at all in a run of a few', () => {
    expect([600, 99, 10, 9, 1].map(defaultWarmupSteps)).to.deep.equal([60, 9, 1, 0, 0]);
  });

  it('log at most 50 rows, in steps of a round number', () => {
    expect([1, 50, 51, 100, 600, 1000, 15_000].map(defaultLoggingSteps)).to.deep.equal([1, 1, 2, 2, 12, 20, 300]);
    for (let steps = 1; steps < 2 ** 31; steps = Math.ceil(steps * 1.05)) {
      const rows = steps / defaultLoggingSteps(steps);
      expect(rows, `${steps} steps`).to.be.at.most(50);
      if (steps > 50) expect(rows, `${steps} steps`).to.be.at.least(25);
      if (steps > 160) expect(rows, `${steps} steps`).to.be.at.least(37);
    }
  });
});

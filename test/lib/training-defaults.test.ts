import { expect } from 'chai';
import { bitfit, full, linear, lora, prefix } from '../../lib/methods/index.js';
import {
  defaultEpochs,
  defaultEpochsReason,
  defaultLearningRate,
  defaultLoggingSteps,
  defaultWarmupSteps,
} from '../../lib/training/defaults.js';
import { expectRefusal } from './files.js';

const METHODS = [full(), linear(), prefix(), prefix({ projection: false }), lora(), bitfit()];

describe('defaults of training', () => {
  it('take the learning rate from method and hidden size', () => {
    const rates = (hiddenSize: number) => METHODS.map((method) => defaultLearningRate(method, hiddenSize));
    expect(rates(256)).to.deep.equal([3e-4, 2e-2, 6e-4, 1e-2, 1.6e-3, 2e-2]);
    expect(rates(768)).to.deep.equal([3e-5, 1e-3, 1e-4, 7e-3, 2e-4, 1e-3]);
    expect(rates(1024)).to.deep.equal([2e-5, 1e-3, 7e-5, 5e-3, 1.5e-4, 7e-4]);
  });

  it('train a LoRA of a higher rank with a lower rate', () => {
    const rates = [4, 8, 16, 32].map((rank) => defaultLearningRate(lora({ rank }), 256));
    expect(rates).to.deep.equal([1.6e-3, 1.6e-3, 1.1e-3, 8e-4]);
  });

  it('draw a straight line of logarithms between sizes, and stay at the ends beyond them', () => {
    // Half-way between 256 and 768 in logarithms is the geometric mean of both sizes, and of both rates.
    const middle = Math.round(Math.sqrt(256 * 768));
    expect(defaultLearningRate(full(), middle)).to.equal(Number(Math.sqrt(3e-4 * 3e-5).toPrecision(2)));
    for (const method of METHODS) {
      expect(defaultLearningRate(method, 128)).to.equal(defaultLearningRate(method, 256));
      expect(defaultLearningRate(method, 4096)).to.equal(defaultLearningRate(method, 1024));
      const falling = [256, 300, 384, 512, 640, 768, 900, 1024].map((size) => defaultLearningRate(method, size));
      expect(falling).to.deep.equal([...falling].sort((a, b) => b - a));
      for (const rate of falling) expect(rate).to.equal(Number(rate.toPrecision(2)));
    }
  });

  it('refuse another method, and a size that is none', async () => {
    await expectRefusal(() => defaultLearningRate({ kind: 'ia3' } as never, 768), 'INVALID_OPTION', 'method');
    await expectRefusal(() => defaultLearningRate(full(), 0), 'INVALID_OPTION', 'hiddenSize');
  });

  it('take as many epochs as come to enough steps: at least 3, at most 100, fewer of long texts', () => {
    const epochs = (method: 'full' | 'linear', stepsPerEpoch: number, meanTokens = 20) => {
      const size = { stepsPerEpoch, meanTokens };
      return [defaultEpochs(method, size), defaultEpochsReason(method, size)];
    };
    expect(epochs('full', 1000)).to.deep.equal([3, '3 epochs']);
    expect(epochs('full', 200)).to.deep.equal([3, '3 epochs']);
    expect(epochs('full', 199)).to.deep.equal([4, 'at least 600 steps']);
    expect(epochs('full', 6)).to.deep.equal([100, 'at least 600 steps']);
    expect(epochs('full', 5)).to.deep.equal([100, 'at most 100 epochs']);
    expect(epochs('full', 1)).to.deep.equal([100, 'at most 100 epochs']);
    expect(epochs('linear', 100)).to.deep.equal([20, 'at least 2000 steps']);
    expect(epochs('full', 30, 128)).to.deep.equal([20, 'at least 600 steps']);
    expect(epochs('full', 30, 512)).to.deep.equal([5, 'at least 150 steps']);
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

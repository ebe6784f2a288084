import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import type { NativeSession } from '../../lib/native/index.js';
import { randomOrder } from '../../lib/order.js';
import { reserveTraining } from '../../lib/training/memory.js';
import { resolveTrainerOptions, type TrainerOptions } from '../../lib/training/options.js';
import { balancedWeights, planRun } from '../../lib/training/plan.js';
import { expectRefusal } from './files.js';

/** Texts of 1, 2, 3, ... tokens. */
function offsetsOf(examples: number): Int32Array {
  const offsets = new Int32Array(examples + 1);
  for (let i = 0; i < examples; i++) offsets[i + 1] = offsets[i]! + i + 1;
  return offsets;
}

const planOf = (examples: number, options: TrainerOptions) =>
  planRun(offsetsOf(examples), resolveTrainerOptions(options, { labels: ['a', 'b', 'c'], hiddenSize: 768 }), undefined);

describe('training plan', () => {
  it('keeps the last partial batch, and the last partial step', async () => {
    const plan = await planOf(50, { batchSize: 4, gradientAccumulation: 3, epochs: 2 });
    expect(plan.batchesPerEpoch).to.equal(13);
    expect(plan.stepsPerEpoch).to.equal(5);
    expect(plan.totalSteps).to.equal(10);
  });

  it('takes the notebook to 15,000 steps', async () => {
    const plan = await planOf(16_000, { epochs: 15, learningRate: 5e-5 });
    expect(plan.totalSteps).to.equal(15_000);
    expect(plan.learningRate(0)).to.equal(5e-5);
    expect(plan.learningRate(14_999)).to.be.closeTo(5e-5 / 15_000, 1e-15);
  });

  it('rounds fractional epochs and warm-up up, as Trainer does', async () => {
    const plan = await planOf(50, { batchSize: 4, epochs: 1.5, warmupRatio: 0.1 });
    expect(plan.totalSteps).to.equal(20);
    expect(plan.epochs).to.equal(2);
    expect(plan.warmupSteps).to.equal(2);
    expect(plan.learningRate(0)).to.equal(0);
    expect(plan.learningRate(2)).to.equal(3e-5);
  });

  it('takes epochs by the size of the data, and says what they came to', async () => {
    const small = await planOf(250, {});
    expect(small).to.include({ stepsPerEpoch: 16, totalSteps: 608, epochs: 38, warmupSteps: 60 });
    expect(small.settings).to.include({ epochs: 38, warmupSteps: 60, loggingSteps: 15 });
    // Of 256 tokens on average: half as many steps will do.
    expect(await planOf(511, {})).to.include({ stepsPerEpoch: 32, totalSteps: 320, epochs: 10 });
    expect(await planOf(16_000, {})).to.include({ totalSteps: 3000, epochs: 3 });
  });

  it('counts epochs from a number of steps', async () => {
    const plan = await planOf(50, { batchSize: 4, maxSteps: 14 });
    expect(plan.totalSteps).to.equal(14);
    expect(plan.epochs).to.equal(2);
  });

  it('knows the most tokens of any micro-batch of any epoch, and of several together', async () => {
    const plan = await planOf(50, { batchSize: 4, epochs: 3 });
    const most = [0, 0, 0];
    for (const epoch of [0, 1, 2]) {
      const order = randomOrder(42 + epoch, 50);
      expect([...plan.orderOf(epoch)]).to.deep.equal([...order]);
      for (let i = 0; i < 50; i += 4) {
        for (const together of [1, 3]) {
          const tokens = order.subarray(i, i + 4 * together).reduce((sum, example) => sum + example + 1, 0);
          most[together - 1] = Math.max(most[together - 1]!, tokens);
        }
      }
    }
    expect(await plan.tokensOf(1)).to.equal(most[0]);
    expect(await plan.tokensOf(3)).to.equal(most[2]);
  });

  it('takes of many epochs with replacement that each might draw the longest text alone', async () => {
    const options = { batchSize: 2 ** 20, gradientAccumulation: 2 ** 10, epochs: 1001, sampling: 'balanced' } as const;
    const settings = resolveTrainerOptions(options, { labels: ['a', 'b', 'c'], hiddenSize: 768 });
    const plan = await planRun(offsetsOf(50), settings, undefined, new Float64Array(50).fill(1));
    expect(await plan.tokensOf(1)).to.equal(50 * 50);
    expect(await plan.tokensOf(2 ** 10)).to.equal(50 * 50);
    const small = await planRun(offsetsOf(50), { ...settings, batchSize: 4 }, undefined, new Float64Array(50).fill(1));
    expect(await small.tokensOf(3)).to.equal(12 * 50);
  });

  it('is refused for more steps than the addon counts', async () => {
    await expectRefusal(
      planOf(50, { batchSize: 1, epochs: 2 ** 31 / 50 }),
      'INVALID_OPTION',
      'epochs in steps',
      '2147483648',
    );
    expect((await planOf(1, { maxSteps: 2 ** 31 - 1, seed: 2 ** 32 - 1 })).totalSteps).to.equal(2 ** 31 - 1);
  });

  it('says how to train in less memory where it is not to be had', async () => {
    const native = {
      reserve: () => Promise.reject(new BertuneError('OUT_OF_MEMORY', 'Expected 9 bytes but there are 8')),
    } as unknown as NativeSession;
    const plan = await planOf(50, { batchSize: 4 });
    await expectRefusal(
      () => reserveTraining(native, plan, 1),
      'OUT_OF_MEMORY',
      'there are 8. This is for training: its largest batch has 4 texts with',
      'gradientCheckpointing: true, or with batchSize: 2 and gradientAccumulation: 2, or with a lower maxLength',
    );
    const saving = await planOf(50, { batchSize: 1, gradientCheckpointing: true });
    await expectRefusal(
      () => reserveTraining(native, saving, 1),
      'OUT_OF_MEMORY',
      /takes less with a lower maxLength$/,
    );
  });

  it('draws the epochs of the greatest seed', async () => {
    const { orderOf } = await planOf(50, { seed: 2 ** 32 - 1 });
    expect([...orderOf(1)]).to.deep.equal([...randomOrder(0, 50)]);
  });

  it('balances classes as scikit-learn does', () => {
    // compute_class_weight('balanced', classes=[0, 1, 3], y=[0, 0, 0, 1, 1, 3]) = [2/3, 1, 2]
    expect(balancedWeights([3, 2, 0, 1])).to.deep.equal([2 / 3, 1, 1, 2]);
  });
});

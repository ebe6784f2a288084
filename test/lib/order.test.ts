import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { randomOrder } from '../../lib/order.js';
import { expectRefusal, fixture } from './files.js';

interface OrderFixture {
  permutations: { seed: number; count: number; first: number[]; sha256: string }[];
  trainer: { seed: number; examples: number; epoch_orders: number[][] };
}

describe('order', () => {
  const { permutations, trainer } = JSON.parse(readFileSync(fixture('order.json'), 'utf8')) as OrderFixture;

  for (const { seed, count, first, sha256 } of permutations) {
    it(`equals torch.randperm(${count}) seeded ${seed}`, () => {
      const order = randomOrder(seed, count);
      expect([...order.subarray(0, first.length)]).to.deep.equal(first);
      expect(createHash('sha256').update(order).digest('hex')).to.equal(sha256);
    });
  }

  it('is what a run of Trainer reads, epoch by epoch', () => {
    trainer.epoch_orders.forEach((expected, epoch) => {
      expect([...randomOrder(trainer.seed + epoch, trainer.examples)]).to.deep.equal(expected);
    });
  });

  it('gives the orders that were observed', () => {
    expect([...randomOrder(42, 16000).subarray(0, 8)]).to.deep.equal([
      13542, 11901, 5352, 10164, 4198, 2150, 7192, 13926,
    ]);
    expect([...randomOrder(43, 16000).subarray(0, 4)]).to.deep.equal([11588, 8392, 7927, 2433]);
    expect([...randomOrder(42, 50).subarray(0, 8)]).to.deep.equal([42, 17, 30, 34, 20, 25, 0, 8]);
  });

  it('holds every index once, for none, one and many', () => {
    for (const n of [0, 1, 2, 1000]) {
      expect([...randomOrder(7, n)].sort((a, b) => a - b)).to.deep.equal(Array.from({ length: n }, (_, i) => i));
    }
  });

  it('uses the lowest 32 bits of the seed, as torch does', () => {
    expect(randomOrder(2 ** 32 + 42, 50)).to.deep.equal(randomOrder(42, 50));
  });

  it('refuses seeds and lengths that are no such integers', async () => {
    await expectRefusal(() => randomOrder(-1, 10), 'INVALID_OPTION', 'for seed');
    await expectRefusal(() => randomOrder(0.5, 10), 'INVALID_OPTION', 'for seed');
    await expectRefusal(() => randomOrder(0, -1), 'INVALID_OPTION', 'for n');
    await expectRefusal(() => randomOrder(0, 214748364), 'INVALID_OPTION', 'for n');
  });
});

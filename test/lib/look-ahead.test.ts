import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import type { PlannedParameter } from '../../lib/methods/method.js';
import { lookAheadOf } from '../../lib/training/look-ahead.js';
import { reserveTraining } from '../../lib/training/memory.js';

const rows = (...roles: [role: string, trainable: boolean][]) => ({
  parameters: roles.map(([role, trainable]) => ({ role, trainable }) as PlannedParameter),
});
const PROBE = rows(['query', false], ['head_dense', false], ['probe_dense', true], ['classifier', true]);

describe('features ahead of their steps', () => {
  it('are made where nothing in front of the head trains', () => {
    expect(lookAheadOf(PROBE, 'cuda', 1, {})).to.equal(16);
    for (const role of ['query', 'word', 'prompt', 'head_dense']) {
      expect(lookAheadOf(rows([role, true], ['classifier', true]), 'cuda', 1, {}), role).to.equal(1);
    }
    expect(lookAheadOf(PROBE, 'cpu', 1, {})).to.equal(1);
    expect(lookAheadOf(PROBE, 'cuda', 1, { BERTUNE_LOOK_AHEAD: 'off' })).to.equal(1);
  });

  it('are those of whole steps', () => {
    const found = [1, 2, 3, 5, 16, 17, 20, 32].map((accumulation) => lookAheadOf(PROBE, 'cuda', accumulation, {}));
    expect(found).to.deep.equal([16, 16, 15, 15, 16, 1, 10, 16]);
  });

  it('are of as many batches as memory suffices for', async () => {
    const refusing = (most: number) => {
      const asked: number[] = [];
      const reserve = async ({ tokens, sequences }: { tokens: number; sequences: number }) => {
        asked.push(sequences);
        if (tokens > most) throw new BertuneError('OUT_OF_MEMORY', 'no memory');
      };
      return { reserve, asked };
    };
    const planOf = (gradientAccumulation: number) =>
      ({
        settings: { batchSize: 8, gradientAccumulation },
        examples: 100,
        tokensOf: async (batches: number) => 10 * batches,
      }) as Parameters<typeof reserveTraining>[1];
    const little = refusing(45);
    expect(await reserveTraining(little, planOf(1), 16)).to.equal(4);
    expect(little.asked).to.deep.equal([100, 64, 32]);
    expect(await reserveTraining(refusing(75), planOf(3), 15)).to.equal(6);
    expect(await reserveTraining(refusing(1000), planOf(1), 16)).to.equal(16);
    const none = await reserveTraining(refusing(5), planOf(1), 16).catch((error: unknown) => error);
    expect(none).to.have.property('code', 'OUT_OF_MEMORY');
  });
});

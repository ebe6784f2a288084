import { expect } from 'chai';
import type { Values } from '../../lib/native/index.js';
import { devices } from '../devices.js';
import { addExamples, METHODS, MODEL, makePlan, makeSession, type Shape } from './tiny-session.js';

/*
 * Layers that are run again in the backward pass come to the same bits, masks of dropout included, whatever trains.
 * test/faults/gradients.test.ts has random models, of every architecture.
 */

type Where = Parameters<typeof makeSession>[3];

const DEEP = { ...MODEL, layers: 4 };

/** Some steps of two micro-batches, the same sizes again and again, so that a device that records steps replays them. */
async function trained(shape: Shape, where: Where, gradientCheckpointing: boolean) {
  const session = await makeSession(shape, 2, DEEP, where);
  const dataset = await addExamples(session);
  const { losses, gradNorms } = await session.train(
    makePlan(dataset, {
      order: Int32Array.from({ length: 20 }, (_, i) => [3, 0, 4, 2, 1][i % 5]!),
      batchSize: 3,
      accumulation: 2,
      learningRates: new Float64Array(Math.ceil(7 / 2)).fill(1e-2),
      maxGradNorm: 1,
      gradientCheckpointing,
    }),
  );
  const values: Record<string, Values> = { losses, gradNorms };
  for (const { name } of session.parameters()) values[name] = await session.read(name, 'value');
  const replayed = (await session.recordings()).replayed;
  const { activations } = session.memory();
  await session.dispose();
  return { values, replayed, activations };
}

/** Under the emulator, which is slow, those whose sums are put off in different ways. */
const EMULATED = [
  'full',
  'LoRA on query and value',
  'LoRA on every Linear',
  'DoRA on every Linear',
  'prefix without projection',
];

describe('gradient checkpointing', () => {
  for (const { device, precisions } of devices()) {
    const isEmulated = device === 'cuda-emulated';
    for (const precision of isEmulated ? (['bf16'] as const) : precisions) {
      if (precision === 'int8') continue; // predicts alone
      it(`trains to the same bits, on ${device} in ${precision}`, async function () {
        this.timeout(120_000);
        for (const [name, shape] of Object.entries(METHODS)) {
          if (isEmulated && !EMULATED.includes(name)) continue;
          const kept = await trained(shape, { device, precision }, false);
          const again = await trained(shape, { device, precision }, true);
          expect(again.values, name).to.deep.equal(kept.values);
          expect(again.replayed, name).to.equal(kept.replayed);
          const saved = kept.activations - again.activations;
          // Nothing below the probe trains, so nothing was kept.
          if (name === 'linear') expect(saved).to.equal(0);
          else expect(saved, name).to.be.above(0);
        }
      });
    }
  }
});

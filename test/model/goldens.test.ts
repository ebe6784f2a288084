import { expect } from 'chai';
import type { NativeSession } from '../../lib/native/index.js';
import { startsOf } from '../native/support.js';
import {
  expectParameters,
  GOLDENS,
  type Golden,
  goldenBatch,
  goldenPlan,
  goldenSession,
  goldenTensor,
  goldenValues,
  readGolden,
  relativeError,
  testDevices,
} from './support.js';

const STEPS = 3;
const LEARNING_RATE = 1e-3;

/** What fp32 may differ from the float64 reference by, and what the files' own float32 leaves to a double run. */
const TOLERANCE = {
  fp32: { logits: 1e-5, gradients: 1e-4, parameters: 1e-5 },
  fp64: { logits: 1e-7, gradients: 1e-7, parameters: 1e-7 },
};

/** Softmax ignores it: its gradient is rounding noise, which AdamW turns into steps. */
const isKeyBias = (name: string): boolean => name.endsWith('attention.self.key.bias');

async function addBatch(
  session: NativeSession,
  golden: Golden,
  index: number,
): Promise<{ handle: number; size: number }> {
  const { ids, offsets, labels } = goldenBatch(golden, index);
  return { handle: await session.addDataset({ ids, offsets, labels }), size: labels.length };
}

for (const { device, precision, threadCounts } of testDevices()) {
  const tolerance = TOLERANCE[precision as 'fp32' | 'fp64'];
  for (const threads of threadCounts) {
    describe(`goldens on ${device}, ${precision}, ${threads} threads`, () => {
      for (const name of GOLDENS) {
        describe(name, () => {
          let golden: Golden;
          let session: NativeSession;

          before(async () => {
            golden = await readGolden(name);
            session = await goldenSession(golden, device, precision, threads);
          });
          after(async () => session?.dispose());

          // The references of a prefix hold none.
          const hiddenStates = name.includes('prefix') ? undefined : it;
          hiddenStates?.('has the reference hidden states', async () => {
            const { paddedIndex } = goldenBatch(golden, 0);
            const { handle, size } = await addBatch(session, golden, 0);
            const states = await session.hiddenStates(
              handle,
              Int32Array.from({ length: size }, (_, i) => i),
            );
            const hidden = session.parameters().find((p) => p.name.endsWith('word_embeddings.weight'))?.shape[1] ?? 0;
            expect(states.length).to.equal(
              Object.keys(golden.config).length ? (golden.config.num_hidden_layers ?? 0) + 1 : 0,
            );
            for (const [layer, state] of states.entries()) {
              const padded = goldenTensor(golden, `step0/hidden${layer}`);
              const expected = paddedIndex.flatMap((row) => [...padded.subarray(row * hidden, (row + 1) * hidden)]);
              expect(relativeError(state, expected), `hidden${layer}`).to.be.at.most(tolerance.logits);
            }
            await session.removeDataset(handle);
          });

          it('has the reference logits, loss and gradients', async () => {
            const { handle, size } = await addBatch(session, golden, 0);
            const { loss, logits, gradNorm } = await session.gradients(goldenPlan(handle, size, LEARNING_RATE, 0));
            expect(relativeError(logits, goldenTensor(golden, 'step0/logits'))).to.be.at.most(tolerance.logits);
            expect(relativeError([loss], [goldenTensor(golden, 'losses')[0] ?? Number.NaN])).to.be.at.most(
              tolerance.logits,
            );
            const norm = goldenTensor(golden, 'grad_norms')[0] ?? Number.NaN;
            expect(Math.abs(gradNorm - norm) / norm).to.be.at.most(tolerance.gradients);
            for (const [parameter, expected] of goldenValues(golden, 'grad')) {
              const gradient = await session.read(parameter, 'gradient');
              if (isKeyBias(parameter)) {
                expect(Math.max(...gradient.map(Math.abs)), parameter).to.be.at.most(1e-6);
              } else {
                expect(relativeError(gradient, expected), parameter).to.be.at.most(tolerance.gradients);
              }
            }
            await session.removeDataset(handle);
          });

          it('has the reference losses, norms and parameters after three steps', async () => {
            const losses = goldenTensor(golden, 'losses');
            const norms = goldenTensor(golden, 'grad_norms');
            for (let step = 0; step < STEPS; step++) {
              const { handle, size } = await addBatch(session, golden, step);
              const rate = LEARNING_RATE * (1 - step / STEPS);
              const result = await session.train(goldenPlan(handle, size, rate, step));
              expect(result.stopped).to.equal('done');
              expect(relativeError(result.losses, [losses[step] ?? Number.NaN]), `loss ${step}`).to.be.at.most(
                tolerance.logits,
              );
              expect(relativeError(result.gradNorms, [norms[step] ?? Number.NaN]), `norm ${step}`).to.be.at.most(
                tolerance.gradients,
              );
              await session.removeDataset(handle);
            }
            // Each step has a data set of its own; the second is recorded where its sizes are the first's.
            const { recorded } = await session.recordings();
            if (device !== 'cpu') expect(recorded, 'recorded steps').to.be.at.least(1);
            for (const [parameter, expected] of goldenValues(golden, 'final')) {
              if (isKeyBias(parameter)) continue;
              const value = await session.read(parameter, 'value');
              expectParameters(value, expected, { precision, tolerance: tolerance.parameters, what: parameter });
            }
            const { handle, size } = await addBatch(session, golden, 2);
            const order = Int32Array.from({ length: size }, (_, i) => i);
            const logits = await session.forward(handle, order, startsOf(size, 3));
            expect(relativeError(logits, goldenTensor(golden, 'eval_logits'))).to.be.at.most(tolerance.logits);
            await session.removeDataset(handle);
          });

          it('leaves frozen parameters as they were, to the bit', async () => {
            const initial = goldenValues(golden, 'init');
            for (const { name: parameter, trainable } of session.parameters()) {
              if (trainable) continue;
              const value = await session.read(parameter, 'value');
              expect(relativeError(value, initial.get(parameter) ?? []), parameter).to.equal(0);
            }
          });
        });
      }
    });
  }
}

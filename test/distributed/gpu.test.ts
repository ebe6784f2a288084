import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { gpus } from '../devices.js';
import { LONG } from '../faults/scale.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { ended, firstStep, run, start } from './launch.js';
import { isAlive, ranksOf } from './processes.js';
import type { Outcome, Program } from './program.js';

/*
 * Processes that train one model on GPUs, each on its own of the emulator's, through the stand-in for NCCL. That its numbers are those of
 * one process is shown for sessions in test/cuda/nccl.test.ts; here for the trainer, with every method in `npm run test:faults`.
 */

const METHODS: Program['runs'] = [
  { method: 'full', options: { gradientAccumulation: 3, loggingSteps: 1, classWeights: [1, 2.5, 0], maxSteps: 6 } },
  { method: 'lora', options: { loggingSteps: 1, labelSmoothing: 0.1, evalBatchTokens: 64, maxSteps: 6 } },
  { method: 'full', options: { batchSize: 1, maxLength: 12, loggingSteps: 1, maxSteps: 6 } },
  { method: 'dora', options: { loggingSteps: 1, gradientAccumulation: 2, maxSteps: 6 } },
  { method: 'prefix', options: { loggingSteps: 1, maxSteps: 6 } },
  { method: 'linear', options: { loggingSteps: 1, loadBestModel: true, maxSteps: 6 } },
  { method: 'bitfit', options: { loggingSteps: 1, maxSteps: 6 } },
];

/** Of losses of about 1 in fp32, whose sums are made in another order. */
const TOLERANCE = 2e-5;

if (gpus().some(({ device }) => device === 'cuda-emulated')) {
  describe('several processes on GPUs', function () {
    this.timeout(120_000);
    const base = mkdtempSync(join(tmpdir(), 'bertune-ranks-'));
    const where = { model: base, precision: 'fp32', device: 'cuda-emulated' } as const;

    before(async () => {
      await writeTinyCheckpoint(base, { dropout: 0.1 });
      process.env.BERTUNE_EMULATED_DEVICES = '4';
    });
    after(() => {
      delete process.env.BERTUNE_EMULATED_DEVICES;
      rmSync(base, { recursive: true });
    });

    for (const processes of LONG ? [2, 4] : [2]) {
      it(`train as one does: ${processes} of them`, async () => {
        const program = { ...where, runs: LONG ? METHODS : METHODS.slice(0, 2) };
        const [one, several] = [await run(program, null), await run(program, 'torchrun', processes)];
        expect(several.code, several.errors).to.equal(0);
        for (const [i, alone] of one.outcomes.entries()) {
          const all = Array.from(
            { length: processes },
            (_, rank) => several.outcomes.filter((o) => o.rank === rank)[i]!,
          );
          expect(new Set(all.map(({ digest }) => digest)).size, 'models').to.equal(1);
          for (const each of all) {
            expect(each.method).to.equal(alone.method);
            expect(each.losses).to.have.length(alone.losses.length);
            for (const name of ['losses', 'gradNorms', 'evaluations'] as const) {
              for (const [at, value] of each[name].entries())
                expect(value, `${name} of ${each.method}`).to.be.closeTo(
                  alone[name][at]!,
                  TOLERANCE * Math.max(1, value),
                );
            }
          }
        }
      });
    }

    it('name the one that hangs, within the time limit, and leave no process behind', async () => {
      const runs: Program['runs'] = [{ method: 'linear', options: { maxSteps: 1e6, collectiveTimeout: 1 } }];
      const child = start({ ...where, runs }, 'torchrun', 2);
      const ending = ended(child);
      await firstStep(child);
      const ranks = ranksOf(child.pid!);
      process.kill(ranks.find(({ rank }) => rank === 1)!.pid, 'SIGSTOP');
      const { outcomes, code } = await ending;
      expect(code).to.not.equal(0);
      const [{ error }] = outcomes as [Outcome];
      expect(error?.code).to.equal('RANK_LOST');
      expect(error?.message).to.match(/^Waited 1 s for rank 1 on \S+, at step \d+ or soon after$/);
      for (const { pid } of ranks) expect(isAlive(pid), `process ${pid}`).to.equal(false);
    });
  });
}

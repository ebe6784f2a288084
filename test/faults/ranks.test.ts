import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { gpus } from '../devices.js';
import { type Launcher, MPIS, run, start } from '../distributed/launch.js';
import { isAlive } from '../distributed/processes.js';
import type { Program } from '../distributed/program.js';
import { SavingRun } from '../distributed/saving-run.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { randomNumbers, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { LONG, note, scaled } from './scale.js';

/** In which all must have ended: they wait for each other 2 s, and launchers take some to end the rest. */
const MOST_SECONDS = 25;

const hasEmulator = gpus().some(({ device }) => device === 'cuda-emulated');
/** torchrun's are on GPUs, which add up through a stand-in for NCCL. */
const LAUNCHERS: readonly Launcher[] = [...MPIS, ...(LONG && hasEmulator ? (['torchrun'] as const) : [])];

describe('ranks that are lost', () => {
  const directory = useTemporaryDirectory();
  const base = mkdtempSync(join(tmpdir(), 'bertune-ranks-'));
  const trials = scaled(1, 50);

  before(() => writeTinyCheckpoint(base, { dropout: 0.1 }));
  after(() => rmSync(base, { recursive: true }));

  for (const launcher of LAUNCHERS) {
    const where = launcher === 'torchrun' ? ({ device: 'cuda-emulated' } as const) : {};

    // MPICH waits for them half a minute.
    const waits = launcher === 'mpich' && !LONG;
    (waits ? it.skip : it)(`end the others in time where they never came, under ${launcher}`, async function () {
      this.timeout(90_000);
      const runs: Program['runs'] = [{ method: 'full', options: { maxSteps: 5 }, absent: 1 }];
      const began = performance.now();
      const { outcomes, code } = await run({ ...where, model: base, precision: 'fp32', runs }, launcher, 2);
      expect((performance.now() - began) / 1000).to.be.below(60);
      expect(code).to.not.equal(0);
      // Where the launcher has not ended it before.
      for (const { error } of outcomes)
        expect(error?.message).to.match(/^Not all processes came to train within 30 s: /);
    });

    if (LONG) {
      it(`are those of their own run where two run at once, under ${launcher}`, async function () {
        this.timeout(90_000);
        const program = (seed: number): Program => ({
          ...where,
          ...{ model: base, precision: 'fp32' },
          runs: [{ method: 'full', options: { maxSteps: 60 }, seed }],
        });
        const apart = [await run(program(3), launcher, 2), await run(program(8), launcher, 2)];
        const together = await Promise.all([run(program(3), launcher, 2), run(program(8), launcher, 2)]);
        const digests = (runs: typeof apart) => runs.map(({ outcomes }) => outcomes.map(({ digest }) => digest));
        expect(digests(together)).to.deep.equal(digests(apart));
        expect(new Set(digests(apart).flat()).size).to.equal(2);
        note(`runs of ${launcher} at once on one machine`, 2);
      });
    }

    it(`end the others in time, and the run goes on to the same bits, under ${launcher}`, async function () {
      this.timeout(60_000 * trials);
      const saving = new SavingRun((program) => start(program, launcher, 2), { ...where, model: base }, 120);
      const whole = await saving.whole(directory.path('whole'));
      const random = randomNumbers(11);
      let [stopped, killed] = [0, 0];
      for (let trial = 0; trial < trials; trial++) {
        const output = directory.path(`run-${trial}`);
        const { ranks, ending } = await saving.begin(output, 800 * random());
        const chosen = Math.floor(2 * random());
        const victim = ranks.find(({ rank }) => rank === chosen);
        const signal = random() < 0.5 ? 'SIGKILL' : 'SIGSTOP';
        const began = performance.now();
        if (victim && isAlive(victim.pid)) {
          process.kill(victim.pid, signal);
          if (signal === 'SIGKILL') killed += 1;
          else stopped += 1;
        }
        await ending;
        expect((performance.now() - began) / 1000, 'seconds until all had ended').to.be.below(MOST_SECONDS);
        for (const { pid } of ranks) expect(isAlive(pid), `process ${pid}`).to.equal(false);
        expect(await saving.goOn(output), `after ${signal} in trial ${trial}`).to.equal(whole);
      }
      note(`ranks of ${launcher} killed or stopped, then resumed to the same bits`, killed + stopped);
    });
  }
});

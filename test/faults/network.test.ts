import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import { ended, firstStep, MPIS, run } from '../distributed/launch.js';
import { Network } from '../distributed/network.js';
import { isAlive, ranksOf } from '../distributed/processes.js';
import type { Program } from '../distributed/program.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { randomNumbers, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { LONG, note, scaled } from './scale.js';

/** Seconds that ranks wait for each other; to it comes the time in which they are asked for, and that Node.js needs to end. */
const LIMIT = 2;
const MOST_SECONDS = 15;

if (LONG) {
  describe('ranks on machines between which the link is cut', () => {
    const directory = useTemporaryDirectory();
    const base = mkdtempSync(join(tmpdir(), 'bertune-ranks-'));
    const trials = scaled(1, 5);

    before(() => writeTinyCheckpoint(base, { dropout: 0.1 }));
    after(() => rmSync(base, { recursive: true }));

    for (const mpi of MPIS) {
      it(`end in time on both, and the run goes on to the same bits, under ${mpi}`, async function () {
        this.timeout(120_000 * trials);
        let network: Network;
        try {
          network = new Network(directory.path('agent.sh'));
        } catch (error) {
          console.log(`      no network namespaces here: ${String(error).split('\n')[0]}`);
          return this.skip();
        }
        try {
          const program = (output: string, resume?: string): Program => ({
            model: base,
            precision: 'fp32',
            runs: [
              {
                method: 'full',
                options: {
                  ...{ maxSteps: 400, collectiveTimeout: LIMIT, outputDirectory: output },
                  ...{ saveStrategy: 'steps', saveSteps: 10, saveTotalLimit: 2 },
                },
                ...(resume === undefined ? {} : { resume }),
              },
            ],
          });
          const { outcomes } = await run(program(directory.path('whole')), mpi, 2);
          const whole = outcomes[0]!.digest;
          const random = randomNumbers(12);
          for (let trial = 0; trial < trials; trial++) {
            const output = directory.path(`run-${trial}`);
            const child = network.start(program(output), mpi);
            const ending = ended(child);
            await firstStep(child);
            await wait(500 * random());
            const ranks = ranksOf(child.pid!);
            expect(ranks.map(({ rank }) => rank).sort()).to.deep.equal([0, 1]);
            network.cut();
            const began = performance.now();
            const seconds = () => (performance.now() - began) / 1000;
            while (ranks.some(({ pid }) => isAlive(pid)) && seconds() < MOST_SECONDS) await wait(50);
            for (const { pid, rank } of ranks)
              expect(isAlive(pid), `rank ${rank} after ${seconds()} s`).to.equal(false);
            // Only now may launchers hear of each other again.
            network.join();
            const { code } = await ending;
            expect(code).to.not.equal(0);
            const last = await ended(network.start(program(output, 'latest'), mpi));
            expect(last.code, last.errors).to.equal(0);
            expect(last.outcomes.map(({ digest }) => digest)).to.deep.equal([whole, whole]);
          }
          const delay = network.isDelayed ? 'with 1 ms of delay' : 'without delay, as this kernel has no netem';
          note(`links of ${mpi} cut between two machines, ${delay}, then resumed to the same bits`, trials);
        } finally {
          network.remove();
        }
      });
    }
  });
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import { MPIS } from '../distributed/launch.js';
import { DELAY, Network } from '../distributed/network.js';
import { isAlive } from '../distributed/processes.js';
import { SavingRun } from '../distributed/saving-run.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { randomNumbers, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { LONG, note, scaled } from './scale.js';

/** In which all must have ended: they wait for each other 2 s, and Node.js takes some to end. */
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
          network = await Network.create(directory.path('agent.sh'));
        } catch (error) {
          console.log(`      no network namespaces here: ${String(error).split('\n')[0]}`);
          return this.skip();
        }
        try {
          const saving = new SavingRun((program) => network.start(program, mpi), { model: base }, 400);
          const whole = await saving.whole(directory.path('whole'));
          const random = randomNumbers(12);
          for (let trial = 0; trial < trials; trial++) {
            const output = directory.path(`run-${trial}`);
            const { ranks, ending } = await saving.begin(output, 500 * random());
            expect(ranks.map(({ rank }) => rank).sort()).to.deep.equal([0, 1]);
            network.cut();
            const began = performance.now();
            const seconds = () => (performance.now() - began) / 1000;
            while (ranks.some(({ pid }) => isAlive(pid)) && seconds() < MOST_SECONDS) await wait(50);
            for (const { pid, rank } of ranks)
              expect(isAlive(pid), `rank ${rank} after ${seconds()} s`).to.equal(false);
            // Only now may launchers hear of each other again.
            network.join();
            expect((await ending).code).to.not.equal(0);
            expect(await saving.goOn(output)).to.equal(whole);
          }
          note(`links of ${mpi}, ${DELAY} ms long, cut between two machines, then resumed to the same bits`, trials);
        } finally {
          network.remove();
        }
      });
    }
  });
}

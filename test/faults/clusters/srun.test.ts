import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ended, MPIS, PROGRAM, run } from '../../distributed/launch.js';
import type { Program } from '../../distributed/program.js';
import { writeTinyCheckpoint } from '../../lib/tiny-model.js';
import { LONG, note } from '../scale.js';
import { Slurm } from './slurm.js';

/** What srun speaks with processes of these MPIs, as Debian builds them. */
const PROTOCOLS = { openmpi: 'pmix', mpich: 'pmi2' } as const;

describe('processes that srun starts', function () {
  this.timeout(300_000);
  const base = mkdtempSync(join(tmpdir(), 'bertune-srun-'));
  let slurm: Slurm | undefined;

  before(async function () {
    if (!LONG || !Slurm.isThere()) this.skip();
    await writeTinyCheckpoint(join(base, 'model'), { dropout: 0.1 });
    slurm = await Slurm.start(base);
  });
  after(async () => {
    await slurm?.stop();
    rmSync(base, { recursive: true });
  });

  for (const mpi of MPIS) {
    it(`train as one does, by --mpi=${PROTOCOLS[mpi]}`, async () => {
      const program: Program = {
        ...{ model: join(base, 'model'), precision: 'fp64' },
        runs: [{ method: 'lora', options: { epochs: 2, loggingSteps: 1 } }],
      };
      const one = await run(program, null);
      const task = [process.execPath, PROGRAM, JSON.stringify(program)];
      const two = await ended(
        spawn('srun', [`--mpi=${PROTOCOLS[mpi]}`, '--ntasks=2', ...task], {
          env: { ...process.env, ...slurm!.environment },
        }),
      );
      expect(two.code, two.errors).to.equal(0);
      expect(two.outcomes).to.have.length(2);
      for (const { losses } of two.outcomes) {
        expect(losses).to.have.length(one.outcomes[0]!.losses.length);
        for (const [i, loss] of losses.entries()) expect(loss).to.be.closeTo(one.outcomes[0]!.losses[i]!, 1e-12);
      }
      note(`srun --mpi=${PROTOCOLS[mpi]}: runs of 2 processes equal to one`, 1);
    });
  }
});

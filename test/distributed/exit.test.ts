import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import { gpus } from '../devices.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { ended, firstStep, type Launcher, MPIS, start } from './launch.js';
import { isAlive, ranksOf } from './processes.js';
import type { Program } from './program.js';

const hasEmulator = gpus().some(({ device }) => device === 'cuda-emulated');
const LAUNCHERS: readonly Launcher[] = [...MPIS, ...(hasEmulator ? (['torchrun'] as const) : [])];

describe('a rank that waits for another', () => {
  const base = mkdtempSync(join(tmpdir(), 'bertune-ranks-'));
  before(() => writeTinyCheckpoint(base));
  after(() => rmSync(base, { recursive: true }));

  for (const launcher of LAUNCHERS) {
    it(`ends at process.exit(), long before the time limit, under ${launcher}`, async function () {
      this.timeout(60_000);
      const program: Program = {
        model: base,
        precision: 'fp32',
        device: launcher === 'torchrun' ? 'cuda-emulated' : 'cpu',
        runs: [{ method: 'linear', options: { maxSteps: 1e6, collectiveTimeout: 60 } }],
      };
      const child = start(program, launcher, 2);
      const ending = ended(child);
      await firstStep(child);
      const ranks = ranksOf(child.pid!);
      const [waiting, stopped] = [0, 1].map((number) => ranks.find(({ rank }) => rank === number)!.pid);
      process.kill(stopped!, 'SIGSTOP');
      await wait(500);
      process.kill(waiting!, 'SIGUSR2');
      const began = performance.now();
      while (isAlive(waiting!) && performance.now() - began < 40_000) await wait(20);
      const seconds = (performance.now() - began) / 1000;
      if (isAlive(stopped!)) process.kill(stopped!, 'SIGKILL');
      await ending;
      expect(seconds).to.be.below(5);
    });
  }
});

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { bundled } from '../bundled.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import type { LeakReport } from './leaks-program.js';
import { buildFaults } from './native/build.js';
import { note, scaled } from './scale.js';

/*
 * A model is loaded, trained and disposed over and over. The blocks that the addon holds are counted one by one
 * (native/faults.cpp); the memory of the process, which has other reasons to change as well, must have no slope.
 */

const PROGRAM = await bundled('leaks-program.ts', import.meta.url);
const isPossible = process.platform === 'linux' && !process.env.BERTUNE_SANITIZER;

(isPossible ? describe : describe.skip)('models that are loaded, trained and disposed', function () {
  this.timeout(1_800_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-leaks-'));
    await writeTinyCheckpoint(join(folder, 'base'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('leave nothing behind', async () => {
    const faults = await buildFaults(folder);
    const cycles = scaled(40, 1000);
    const args = ['--expose-gc', PROGRAM, JSON.stringify({ faults, folder, cycles })];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      // The C library gives threads that allocate at the same time regions of their own, as it happens: two are enough.
      env: { ...process.env, LD_PRELOAD: faults, MALLOC_ARENA_MAX: '2' },
    });
    const report = JSON.parse(stdout) as LeakReport;
    expect(report.cycles).to.equal(cycles);
    expect(report.blocks, 'blocks that the addon still holds').to.equal(0);
    expect(report.external, 'bytes that V8 was told of and not told back').to.equal(0);
    expect(report.threads, 'threads').to.equal(0);
    // A tiny model holds 1.2 MB, and trains in as much again. JavaScript's own heap still grows by some megabytes, of which few
    // cycles have a larger share each.
    expect(report.slope, `bytes of the process a cycle (MiB: ${report.resident})`).to.be.below(scaled(600_000, 5_000));
    note('models loaded, trained and disposed', report.cycles);
    note('of these, blocks that the addon kept', report.blocks);
    const kib = (bytes: number) => `${(bytes / 1024).toFixed(2)} KiB a cycle`;
    note('of these, growth of the process', `${kib(report.slope)}, of JavaScript's heap ${kib(report.heapSlope)}`);
  });
});

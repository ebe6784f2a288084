import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { bundled } from '../bundled.js';
import { ADAPTERS, writeTinyAdapter } from '../lib/tiny-adapters.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import type { AllocationInput, AllocationReport } from './allocation-program.js';
import { buildFaults } from './native/build.js';
import { LONG, note, scaled } from './scale.js';

/*
 * The n-th allocation of the addon fails, for every n of each call: the addon is the one that is shipped, in a process whose
 * allocator a preloaded library stands in front of (native/faults.cpp).
 */

const run = promisify(execFile);
const PROGRAM = await bundled('allocation-program.ts', import.meta.url);

/** Allocations between those that are tried by `npm test -- --all`; `npm run test:faults` tries every one. */
const STRIDES = { load: 223, train: 457, predict: 5, save: 149, loadAdapter: 29, machine: 1 };

/** What `npm test -- --all` tries of the two ways: whether all later allocations fail as well. */
const SHORT: Record<string, boolean> = {
  load: true,
  train: true,
  predict: true,
  save: false,
  loadAdapter: false,
  machine: false,
};

// The sanitizers bring allocators of their own, and other platforms other ways to stand in front of one.
const isPossible = process.platform === 'linux' && !process.env.BERTUNE_SANITIZER;

(isPossible ? describe : describe.skip)('the n-th allocation that fails', function () {
  this.timeout(1_800_000);
  let folder: string;
  let faults: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-allocation-'));
    const config = await writeTinyCheckpoint(join(folder, 'base'));
    await writeTinyAdapter(join(folder, 'adapter'), join(folder, 'base'), config, ADAPTERS.polite);
    faults = await buildFaults(folder);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function tryAll(call: string, stride: number, more: Partial<AllocationInput> = {}): Promise<AllocationReport> {
    const input: AllocationInput = {
      ...{ faults, folder, call, stride, device: 'cpu', precision: 'fp32', first: 1, onwards: false },
      ...more,
    };
    const args = ['--expose-gc', PROGRAM, JSON.stringify(input)];
    const child = run(process.execPath, args, { env: { ...process.env, LD_PRELOAD: faults }, timeout: 1_700_000 });
    // What it said last names the n that ended it.
    const { stdout } = await child.catch((error: Error & { stderr: string; signal: string }) => {
      throw new Error(`${error.signal ?? 'failed'} after ${error.stderr.slice(-400)}`);
    });
    return JSON.parse(stdout) as AllocationReport;
  }

  for (const [call, stride] of Object.entries(STRIDES)) {
    for (const onwards of [false, true]) {
      if (!LONG && onwards !== SHORT[call]) continue;
      const title = onwards ? 'and all that come after it' : 'and no other';
      it(`in ${call}, ${title}: OUT_OF_MEMORY, and the same call works afterwards`, async () => {
        const report = await tryAll(call, scaled(stride, 1), { onwards });
        expect(report.wrong.slice(0, 5)).to.deep.equal([]);
        expect(report.tried, 'more than none was tried').to.be.greaterThan(1);
        // Only what gives a data set back may fail unnoticed: it is given back later. C++ has memory of its own for exceptions,
        // such as that of a library that is not there.
        if (call !== 'train' && call !== 'machine')
          expect(report.survived, 'calls that did not fail').to.deep.equal([]);
        expect(report.leakedBlocks, 'blocks that the addon still holds').to.equal(0);
        note(`allocations that failed in ${call}, ${title}`, report.tried);
      });
    }
  }
});

import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { LONG, scaled } from '../scale.js';
import { checkpoints, contentsOf, expectSame, expectWholeCheckpoints, leftovers } from './contents.js';
import { type Ending, each, runProgram, useBench } from './run.js';
import { createControls, type Deed, type Fault } from './shim.js';

/** What takes too long for `npm test -- --all`. */
const itLong = LONG ? it : it.skip;
const LORA = ['--quiet', '--method', 'lora', '--rank', '2', '--save-strategy', 'steps', '--save-steps', '2'];

/** Mounts a disk in memory. Returns whether that is permitted. */
function mount(directory: string, kilobytes: number, how = ''): boolean {
  mkdirSync(directory, { recursive: true });
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `${how}size=${kilobytes}k`, 'tmpfs', directory]).status === 0;
}

describe('a disk that is full, read-only or broken', function () {
  this.timeout(scaled(120_000, 3_600_000));
  const tried = { calls: 0, runs: 0 };
  const bench = useBench(() => ({
    'disk: failed, short or interrupted calls of save()': tried.calls,
    'disk: training processes on a full, read-only or broken disk': tried.runs,
  }));

  it('fails save() as a whole, with the model and the files before it intact, and saves again once it is well', async () => {
    const control = join(bench.folder, 'control');
    createControls(control);
    const under = join(bench.folder, 'disk');
    const ending = await runProgram('save-program.ts', [bench.folder, LONG ? 'long' : 'short'], {
      under,
      fault: { control },
    });
    expect(ending.status, ending.stderr).to.equal(0);
    const { tried: found, wrong } = JSON.parse(ending.stdout) as {
      tried: { calls: number; refused: number };
      wrong: string[];
    };
    expect(wrong.slice(0, 20), `${wrong.length} went wrong`).to.deep.equal([]);
    expect(found.refused).to.be.greaterThan(0);
    tried.calls += found.calls;
  });

  function expectRefused(ending: Ending, output: string, reason: string): void {
    expect(ending.signal, ending.stderr).to.equal(null);
    expect(ending.status, ending.stderr).to.equal(1);
    expect(ending.stderr)
      .to.match(/^error \[OUTPUT_REFUSED\]: /m)
      .and.to.include(output)
      .and.to.include(reason);
    tried.runs++;
  }

  itLong('ends a run with status 1, and resumes from the checkpoint before once it is well', async () => {
    const whole = bench.output('whole');
    expect((await bench.train(whole, LORA)).status).to.equal(0);
    const wanted = contentsOf(whole);
    const faults: (Fault & { do: Deed })[] = (['ENOSPC', 'EIO', 'EDQUOT', 'EROFS', 'EFBIG'] as const).flatMap((deed) =>
      ['.checkpoint-4', '.checkpoint-6'].flatMap((match) =>
        [1, 2, 9, 20].map((at) => ({
          match,
          at,
          more: 1_000_000,
          do: deed,
          calls: ['open', 'write', 'fsync', 'mkdir'] as const,
        })),
      ),
    );
    await each(faults, 2, async (fault, i) => {
      const output = bench.output(`refused-${i}`);
      const before = fault.match === '.checkpoint-4' ? ['checkpoint-2'] : ['checkpoint-2', 'checkpoint-4'];
      const failed = await bench.train(output, LORA, { fault });
      expectRefused(failed, output, fault.do);
      expect(checkpoints(output), fault.do).to.deep.equal(before);
      expectWholeCheckpoints(output, fault.do);
      expect(leftovers(output), `${fault.do} at ${fault.at}`).to.deep.equal([]);
      const resumed = await bench.train(output, [...LORA, '--resume']);
      expect(resumed.status, resumed.stderr).to.equal(0);
      expectSame(contentsOf(output), wanted, fault.do);
      rmSync(output, { recursive: true, force: true });
    });
  });

  it('leaves a checkpoint that it cannot replace as it was', async () => {
    const output = bench.output('replaced');
    expect((await bench.train(output, LORA)).status).to.equal(0);
    const saved = () => checkpoints(output).map((name) => contentsOf(join(output, name)));
    const wanted = saved();
    // The old one is moved aside; the new one gets the name.
    for (const at of [1, 2]) {
      const args = [...LORA, '--resume', join(output, 'checkpoint-2')];
      const failed = await bench.train(output, args, {
        fault: { at, do: 'EIO', match: join(output, 'checkpoint-4'), calls: ['rename'] },
      });
      expectRefused(failed, output, 'EIO');
      for (const [i, contents] of saved().entries()) expectSame(contents, wanted[i]!, `rename ${at}`);
      expect(leftovers(output), `rename ${at}`).to.deep.equal([]);
    }
  });

  it('refuses a file larger than the limit of the process (ulimit -f), and is not killed by it', async () => {
    const output = bench.output('limit');
    const failed = await bench.train(output, ['--quiet', '--save-strategy', 'epoch'], { fileLimit: 400 });
    expectRefused(failed, output, 'EFBIG');
    expect(leftovers(output)).to.deep.equal([]);
  });

  it('refuses a disk without room for what a run saves before it trains, and trains once there is room', async function () {
    const output = bench.output('tmpfs');
    if (!mount(output, 200)) {
      console.log('      not tried: mount is not permitted');
      this.skip();
    }
    try {
      const refused = await bench.train(output, LORA);
      expect(refused.status).to.equal(1);
      expect(refused.stderr).to.match(/OUTPUT_REFUSED.*would need \d+ bytes/);
      expect(checkpoints(output)).to.deep.equal([]);
      expect(leftovers(output)).to.deep.equal([]);
      spawnSync('mount', ['-o', 'remount,size=20m', output]);
      const trained = await bench.train(output, LORA);
      expect(trained.status, trained.stderr).to.equal(0);
      expectWholeCheckpoints(output, 'tmpfs with room');
    } finally {
      spawnSync('umount', [output]);
    }
  });

  it('refuses a read-only disk before it trains', async function () {
    const output = bench.output('read-only');
    if (!mount(output, 800, 'ro,')) {
      console.log('      not tried: mount is not permitted');
      this.skip();
    }
    try {
      const failed = await bench.train(output, LORA);
      expectRefused(failed, output, 'EROFS');
    } finally {
      spawnSync('umount', [output]);
    }
  });

  it('refuses to save where the directory was deleted while it trained', async () => {
    const output = bench.output('deleted');
    const args = LORA.filter((arg) => arg !== '--quiet');
    const failed = await bench.train(output, args, {
      // The next save waits, so that it finds nothing there.
      fault: { at: 1, do: 'delay', delay: 1000, match: '.checkpoint-4', calls: ['mkdir'] },
      during: (child) => {
        child.stderr!.on('data', (text: string) => {
          const saved = /saved .*checkpoint-2/.test(text);
          if (saved) renameSync(output, `${output}-gone`);
        });
      },
    });
    expectRefused(failed, output, 'ENOENT');
  });
});

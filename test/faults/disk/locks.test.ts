import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { LONG, scaled } from '../scale.js';
import { contentsOf, expectSame, leftovers } from './contents.js';
import { type Ending, useBench } from './run.js';
import { readLog } from './shim.js';

/** What takes too long for `npm test -- --all`. */
const itLong = LONG ? it : it.skip;
const ARGS = ['--quiet', '--method', 'lora', '--rank', '2', '--save-strategy', 'epoch'];

describe('processes that write to one output directory', function () {
  this.timeout(scaled(120_000, 3_600_000));
  let raced = 0;
  const bench = useBench(() => ({
    'disk: processes that raced for one output directory': raced,
  }));

  /** Starts a run that takes a minute over its first save, and resolves once that has begun. */
  async function hold(output: string): Promise<{ pid: number; kill: () => Promise<Ending> }> {
    const log = `${output}.log`;
    rmSync(log, { force: true });
    let pid = 0;
    let kill = () => true;
    const ending = bench.train(output, ARGS, {
      fault: { at: 1, do: 'delay', delay: 60_000, calls: ['fsync'], log },
      during: (child) => {
        pid = child.pid!;
        kill = () => child.kill('SIGKILL');
      },
    });
    while (!existsSync(log) || !readLog(log).some(({ path }) => path.includes('.checkpoint-'))) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return {
      pid,
      kill: () => {
        kill();
        return ending;
      },
    };
  }

  it('are refused but for the first, by its process id; the kernel frees the lock of one that was killed', async () => {
    const output = bench.output('held');
    const { pid, kill } = await hold(output);
    const second = await bench.train(output, [...ARGS, '--resume']);
    expect(second.status, second.stderr).to.equal(1);
    expect(second.stderr)
      .to.match(/OUTPUT_REFUSED/)
      .and.to.include(output)
      .and.to.include(`process ${pid} `);
    expect((await kill()).signal).to.equal('SIGKILL');
    const third = await bench.train(output, [...ARGS, '--resume']);
    expect(third.status, third.stderr).to.equal(0);
    expect(leftovers(output)).to.deep.equal([]);
  });

  itLong('race for it: one wins, the others are refused', async () => {
    const whole = bench.output('whole');
    expect((await bench.train(whole, ARGS)).status).to.equal(0);
    const output = bench.output('raced');
    const many = 16;
    for (let round = 0; round < 3; round++) {
      rmSync(output, { recursive: true, force: true });
      const endings = await Promise.all(Array.from({ length: many }, () => bench.train(output, [...ARGS, '--resume'])));
      raced += many;
      const won = endings.filter(({ status }) => status === 0);
      expect(won, endings.map(({ stderr }) => stderr).join('')).to.have.length.greaterThan(0);
      for (const { status, stderr } of endings) if (status !== 0) expect(stderr).to.include('OUTPUT_REFUSED');
      expect(leftovers(output)).to.deep.equal([]);
      expectSame(contentsOf(output), contentsOf(whole), `round ${round}`);
    }
  });

  itLong('pass over a lock file that another process left, also one that may not be written', async () => {
    const output = bench.output('stale');
    mkdirSync(output, { recursive: true });
    writeFileSync(join(output, '.bertune.lock'), '{"pid":1,"host":"elsewhere","since":"2001-01-01T00:00:00.000Z"}\n');
    chmodSync(join(output, '.bertune.lock'), 0o444);
    const run = await bench.train(output, ARGS);
    expect(run.status, run.stderr).to.equal(0);
    expect(leftovers(output)).to.deep.equal([]);
  });

  const inTheWay: Record<string, (path: string) => void> = {
    'a directory': (path: string) => mkdirSync(path),
    'a link to nowhere allowed': (path: string) => symlinkSync('/proc/nowhere/lock', path),
    'a pipe': (path: string) => void spawnSync('mkfifo', [path]),
  };
  for (const [title, make] of Object.entries(inTheWay)) {
    it(`are refused where the lock file is ${title}`, async () => {
      const output = bench.output('odd');
      mkdirSync(output, { recursive: true });
      make(join(output, '.bertune.lock'));
      const run = await bench.train(output, ARGS, {
        during: (child) => void setTimeout(() => child.kill('SIGKILL'), 30_000).unref(),
      });
      expect(run.signal, 'does not hang').to.equal(null);
      expect(run.status, run.stderr).to.equal(1);
      expect(run.stderr).to.include('OUTPUT_REFUSED').and.to.include(output);
    });
  }
});

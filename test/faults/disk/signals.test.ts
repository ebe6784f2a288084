import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { LONG, scaled } from '../scale.js';
import { checkpoints, contentsOf, expectSame, expectWholeCheckpoints, leftovers } from './contents.js';
import { each, useBench } from './run.js';
import { readLog } from './shim.js';

const ARGS = [
  '--quiet',
  '--method',
  'lora',
  '--rank',
  '2',
  '--save-strategy',
  'steps',
  '--save-steps',
  '2',
  '--load-best',
];
/** What takes too long for `npm test -- --all`. */
const itLong = LONG ? it : it.skip;
const STATUS = { int: 130, term: 143 } as const;

describe('SIGINT and SIGTERM while training', function () {
  this.timeout(scaled(120_000, 3_600_000));
  let stops = 0;
  let quits = 0;
  const bench = useBench(() => ({
    'disk: runs stopped by a signal in the middle of a save, then resumed to the same end': stops,
    'disk: saves that a second signal broke off': quits,
  }));

  it('finish what is being saved, end with the status of the signal, and go on to the same end', async () => {
    const whole = bench.output('whole');
    const log = `${whole}.log`;
    expect((await bench.train(whole, ARGS, { fault: { log } })).status).to.equal(0);
    const wanted = contentsOf(whole);
    const calls = readLog(log).filter(({ n }) => n > 0).length;
    const count = scaled(1, 24);
    const cases = Array.from({ length: count }, (_, i) => ({
      at: Math.max(1, Math.floor(((i + 0.5) / count) * calls)),
      signal: i % 2 === 0 ? ('int' as const) : ('term' as const),
    }));
    await each(cases, 2, async ({ at, signal }, i) => {
      const output = bench.output(`stopped-${i}`);
      const where = `${signal} at call ${at} of ${calls}`;
      // The call is held up until the signal has been seen.
      const stopped = await bench.train(output, ARGS, { fault: { at, do: signal, delay: 100 } });
      expect(stopped.status, `${where}: ${stopped.stderr}`).to.equal(STATUS[signal]);
      expect(leftovers(output), where).to.deep.equal([]);
      expectWholeCheckpoints(output, where);
      const resumed = await bench.train(output, [...ARGS, '--resume']);
      expect(resumed.status, `${where}: ${resumed.stderr}`).to.equal(0);
      // A checkpoint of the step at which it was stopped may be there besides.
      const found = contentsOf(output);
      for (const name of Object.keys(found))
        if (!(name in wanted) && /^checkpoint-[135]\//.test(name)) delete found[name];
      expectSame(found, wanted, where);
      stops++;
    });
  });

  itLong('quit at once for a second one, in the middle of a save, and go on to the same end', async () => {
    const output = bench.output('twice');
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      // The 2nd of the flushes of checkpoint-4 takes two minutes.
      const fault = {
        at: 2,
        do: 'delay',
        delay: 120_000,
        match: '.checkpoint-4',
        calls: ['fsync'],
        log: `${output}.log`,
      } as const;
      let began = 0;
      const ended = await bench.train(output, signal === 'SIGINT' ? ARGS : [...ARGS, '--resume'], {
        fault,
        during: (child) => {
          const timer = setInterval(() => {
            if (!existsSync(fault.log)) return;
            const flushes = readLog(fault.log).filter(({ n }) => n > 0).length;
            if (flushes === 0 || began > 0) return;
            began = performance.now();
            setTimeout(() => child.kill(signal), 300);
            // As npm and timeout pass it on: not a second one.
            setTimeout(() => child.kill(signal), 400);
            setTimeout(() => {
              expect(child.exitCode).to.equal(null);
              began = performance.now();
              child.kill(signal);
            }, 1500);
          }, 20);
          child.on('exit', () => clearInterval(timer));
        },
      });
      // 130 and 143 to a shell.
      expect(ended.signal, ended.stderr).to.equal(signal);
      expect(performance.now() - began).to.be.lessThan(20_000);
      expectWholeCheckpoints(output, signal);
      expect(checkpoints(output)).to.include('checkpoint-2').and.not.to.include('checkpoint-4');
      quits++;
    }
    const resumed = await bench.train(output, [...ARGS, '--resume']);
    expect(resumed.status, resumed.stderr).to.equal(0);
    expect(leftovers(output)).to.deep.equal([]);
  });
});

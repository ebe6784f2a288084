import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { TextClassifier } from '../../../lib/index.js';
import { randomNumbers } from '../../lib/tiny-model.js';
import { scaled } from '../scale.js';
import { checkpoints, contentsOf, expectSame, expectWholeCheckpoints, leftovers } from './contents.js';
import { Platter } from './power.js';
import { each, useBench } from './run.js';
import { type Deed, readLog } from './shim.js';

const STEPS = ['--quiet', '--save-strategy', 'steps', '--save-steps', '2', '--save-total-limit', '1'];
const RUNS: Record<string, readonly string[]> = {
  full: ['--method', 'full', ...STEPS],
  'linear, best epoch': ['--method', 'linear', ...STEPS, '--load-best'],
  'prefix with projection': ['--method', 'prefix', '--virtual-tokens', '2', ...STEPS],
  'lora, early stopping': ['--method', 'lora', '--rank', '2', ...STEPS, '--load-best', '--early-stopping', '1'],
  'lora, every epoch': ['--method', 'lora', '--rank', '2', '--quiet', '--save-strategy', 'epoch'],
};
/** Runs at a time. */
const AT_ONCE = 2;
const DEEDS: readonly Deed[] = ['kill-before', 'kill-after', 'kill-half'];

describe('processes killed while they train', function () {
  this.timeout(scaled(120_000, 7_200_000));
  const tried = { points: 0, checkpoints: 0, powerLosses: 0 };
  const bench = useBench(() => ({
    'disk: kill -9 of a training process, then a resume to the same end': tried.points,
    'disk: checkpoints checked whole after kill -9': tried.checkpoints,
    'disk: power losses simulated while training': tried.powerLosses,
  }));

  /** Checks what a killed run left, as it is and as it would be after a loss of power. */
  async function expectSound(output: string, log: string, where: string): Promise<void> {
    tried.checkpoints += expectWholeCheckpoints(output, where);
    const platter = new Platter(readLog(log));
    expect(platter.faults, where).to.deep.equal([]);
    if (existsSync(output)) {
      const copy = `${output}-power`;
      platter.losePower(output, copy);
      expectWholeCheckpoints(copy, `${where}, power lost`);
      tried.powerLosses++;
      rmSync(copy, { recursive: true, force: true });
    }
    for (const name of checkpoints(output)) {
      await using model = await TextClassifier.load(join(output, name), { device: 'cpu', threads: 1 });
      expect(await model.predict('good')).to.have.lengthOf(1);
    }
  }

  for (const [title, args] of Object.entries(RUNS).slice(0, scaled(1, 5))) {
    it(`go on to the same end: ${title}`, async () => {
      const whole = bench.output(`${title.replaceAll(/\W+/g, '-')}-whole`);
      const log = `${whole}.log`;
      const first = await bench.train(whole, args, { fault: { log } });
      expect(first.status, first.stderr).to.equal(0);
      const wanted = contentsOf(whole);
      const calls = readLog(log).filter(({ n }) => n > 0).length;
      const platter = new Platter(readLog(log));
      expect(platter.faults).to.deep.equal([]);
      expect(platter.unflushedNames.filter((path) => path !== whole)).to.deep.equal([]);

      const seed = 20 + title.length;
      const random = randomNumbers(seed);
      const points = scaled(1, 42);
      const cases = Array.from({ length: points }, (_, i) => ({
        at: Math.max(1, Math.round(((i + random()) / points) * calls)),
        deed: DEEDS[i % DEEDS.length]!,
        // At a random moment instead of a call; once more while resuming.
        moment: i % 7 === 3 ? random() * first.time : null,
        again: i % 4 === 1 ? Math.ceil(random() * calls * 0.6) : null,
      }));
      await each(cases, AT_ONCE, async ({ at, deed, moment, again }, i) => {
        const output = bench.output(`${title.replaceAll(/\W+/g, '-')}-${i}`);
        const log = `${output}.log`;
        const fault = moment === null ? { at, do: deed, log } : { log };
        const during = (child: { kill(signal: 'SIGKILL'): boolean }) => {
          if (moment !== null) setTimeout(() => child.kill('SIGKILL'), moment);
        };
        const what = moment === null ? `${deed} at call ${at} of ${calls}` : `killed after ${Math.round(moment)} ms`;
        const where = `${title}, case ${i} of seed ${seed}: ${what}`;
        const killed = await bench.train(output, args, { fault, during });
        if (moment === null) expect(killed.signal, `${where}: ${killed.stderr}`).to.equal('SIGKILL');
        if (existsSync(log)) await expectSound(output, log, where);
        tried.points++;
        if (again !== null) {
          const second = `${output}.second.log`;
          await bench.train(output, [...args, '--resume'], { fault: { at: again, do: deed, log: second } });
          if (existsSync(second)) await expectSound(output, second, `${where}, then ${deed} at call ${again}`);
          tried.points++;
        }
        const done = await bench.train(output, [...args, '--resume']);
        expect(done.status, `${where}: ${done.stderr}`).to.equal(0);
        expect(leftovers(output), where).to.deep.equal([]);
        expectWholeCheckpoints(output, where);
        expectSame(contentsOf(output), wanted, where);
        rmSync(output, { recursive: true, force: true });
      });
    });
  }
});

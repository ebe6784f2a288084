import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { type CliResult, onceItSays } from '../cli/run-cli.js';
import { randomNumbers } from '../lib/tiny-model.js';
import { begun, lasting, SweepFolder } from '../sweep/folder.js';
import { note, scaled } from './scale.js';

const WORKERS = scaled(2, 3);
const KILLS = scaled(2, 5);
const EPOCHS = scaled(8, 24);
const RATES = '1e-3,3e-3';
const RANKS = scaled(1, 2);
const SEEDS = scaled(1, 4);

describe('sweeps whose workers are killed', function () {
  this.timeout(scaled(240_000, 1_800_000));
  let root = '';
  let folder: SweepFolder;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'bertune-sweep-kills-'));
    folder = await SweepFolder.create(root);
  });
  after(() => rm(root, { recursive: true, force: true }));

  it('come to the same table, to the last bit', async () => {
    const settings = [
      ...['--method', 'full,lora', '--learning-rate', RATES, '--epochs', `${EPOCHS}`],
      ...['--rank', Array.from({ length: RANKS }, (_, i) => 2 + 2 * i).join(',')],
      ...['--seed', Array.from({ length: SEEDS }, (_, i) => i + 1).join(',')],
    ];
    const cells = 2 * SEEDS * (1 + RANKS);
    for (const name of ['whole', 'killed']) await folder.plan(name, settings);
    const whole = await folder.sweep('run', ['whole', '--quiet']);
    expect(whole.stdout).to.equal(`${cells} cells: ${cells} done\n`);

    const seed = 11;
    const random = randomNumbers(seed);
    const results: CliResult[] = [];
    let kills = 0;
    const work = async (isVictim: boolean): Promise<void> => {
      // Once it runs a cell: work is left then, however fast the machine.
      const kill = (child: ChildProcessWithoutNullStreams) =>
        onceItSays(child, /, seed \d+ \(/, () => {
          void sleep(scaled(500, 3000) * random()).then(() => {
            if (child.kill('SIGKILL')) kills++;
          });
        });
      const run = folder.sweep('run', ['killed', '--save-steps', '5'], {
        during: (child) => {
          if (isVictim && kills < KILLS) kill(child);
        },
      });
      const result = await run;
      results.push(result);
      if (result.status === 137) return work(isVictim);
      expect(result.status, `seed ${seed}: ${result.stderr}`).to.equal(0);
    };
    await Promise.all(Array.from({ length: WORKERS }, (_, i) => work(i === 0)));
    expect(kills).to.equal(KILLS);

    const [before, after] = [await folder.merge('whole'), await folder.merge('killed')];
    expect(after.sweep.cells.map(({ status }) => status)).to.deep.equal(Array.from({ length: cells }, () => 'done'));
    expect(lasting(after.sweep)).to.deep.equal(lasting(before.sweep));
    expect(lasting(after.runs)).to.deep.equal(lasting(before.runs));
    const [wanted, found] = [await folder.results('whole'), await folder.results('killed')];
    for (const [id, { run }] of wanted) expect(lasting(found.get(id)?.run), id).to.deep.equal(lasting(run));
    // What was begun twice was taken over from one that was killed.
    const starts = results.flatMap(begun);
    expect(starts.length - new Set(starts).size).to.be.within(0, KILLS);
    for (const place of ['runs', 'leases']) expect(await readdir(join(root, 'killed', place))).to.deep.equal([]);
    note('sweeps: kill -9 of a worker, to the same table', kills);
    note('sweeps: cells taken over and resumed to the same bits', starts.length - new Set(starts).size);
  });

  it('are of a thousand cells in seconds', async () => {
    const cells = 1000;
    const seeds = Array.from({ length: cells / 4 }, (_, i) => i);
    const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
      const start = performance.now();
      const result = await work();
      const seconds = (performance.now() - start) / 1000;
      note(`sweeps: seconds to ${what} ${cells} cells`, seconds.toFixed(1));
      expect(seconds, what).to.be.below(scaled(30, 20));
      return result;
    };
    const settings = [
      '--method',
      'linear,lora',
      '--learning-rate',
      RATES,
      '--seed',
      seeds.join(','),
      '--max-steps',
      '1',
    ];
    await timed('plan', () => folder.plan('many', settings));
    const first = await timed('start, run one of and look at', () => folder.sweep('run', ['many', '--cell', '1000']));
    expect(first.stdout).to.equal('1 cell: 1 done\n');
    const { cells: planned } = JSON.parse(await readFile(join(root, 'many/sweep.json'), 'utf8'));
    const [[, result] = expect.fail('no result')] = [...(await folder.results('many'))];
    for (const { id, title } of planned) {
      const run = { ...result.run, name: id, title };
      await writeFile(join(root, 'many/results', `${id}.json`), JSON.stringify({ ...result, run }));
    }
    const status = await timed('show', () => folder.sweep('status', ['many']));
    expect(status.stdout).to.contain('1,000 cells: 1,000 done');
    const { sweep } = await timed('merge', () => folder.merge('many'));
    expect(sweep.groups.map(({ cells }) => cells.done)).to.deep.equal([250, 250, 250, 250]);
    const again = await timed('find nothing to do in', () => folder.sweep('run', ['many']));
    expect(again.stdout).to.equal('1,000 cells: 1,000 done\n');
  });
});

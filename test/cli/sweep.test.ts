import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import { createProgram } from '../../lib/cli/program.js';
import { BertuneError } from '../../lib/errors.js';
import { DirectoryLock } from '../../lib/files/lock.js';
import { nameOptionsByFlags } from '../../lib/options/names.js';
import { begun, lasting, SweepFolder } from '../sweep/folder.js';
import { onceItSays } from './run-cli.js';

const SHORT = ['--max-steps', '4'];

/** What a plan is refused with, in this process. */
async function refusalOf(folder: string, ...args: string[]): Promise<string> {
  const program = createProgram((error) => expect.fail(String(error)));
  const { message } = await program.parseAsync(['sweep', 'plan', folder, ...args], { from: 'user' }).then(
    () => expect.fail('accepted'),
    (cause: unknown) => {
      expect(cause).to.be.instanceOf(BertuneError);
      expect((cause as BertuneError).code).to.be.oneOf(['INVALID_OPTION', 'INVALID_DATA']);
      return cause as BertuneError;
    },
  );
  nameOptionsByFlags({});
  expect(existsSync(folder)).to.equal(false);
  return message;
}

describe('bertune sweep', function () {
  this.timeout(240_000);
  let root = '';
  let folder: SweepFolder;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'bertune-sweep-'));
    folder = await SweepFolder.create(root);
  });
  after(() => rm(root, { recursive: true, force: true }));

  it('plans, runs and compares', async () => {
    const planned = await folder.plan('s', [...SHORT, '--method', 'linear,lora', '--rank', '2,4', '--seed', '1,2']);
    expect(planned.stdout).to.match(/^6 cells in s.sweep\.json \(values of method: 2, rank: 2, seed: 2\)\n$/);
    const waiting = await folder.sweep('status', ['s']);
    expect(waiting.stdout).to.equal('Sweep\n6 cells: 6 waiting\n\n');

    const run = await folder.sweep('run', ['s', '--jobs', '2']);
    expect(run.status, run.stderr).to.equal(0);
    expect(run.stdout).to.equal('6 cells: 6 done\n');
    expect(begun(run)).to.have.lengthOf(6);
    expect(await readdir(join(root, 's/runs'))).to.deep.equal([]);
    expect(await readdir(join(root, 's/leases'))).to.deep.equal([]);

    // As a worker leaves them that dies once it has kept a result.
    const [id] = (await folder.results('s')).keys();
    await mkdir(join(root, 's/runs', id!));
    await writeFile(join(root, 's/leases', `${id}.1`), JSON.stringify({ token: 'dead', released: true }));
    const again = await folder.sweep('run', ['s']);
    expect(again).to.include({ status: 0, stdout: '6 cells: 6 done\n' });
    expect(begun(again)).to.deep.equal([]);
    for (const place of ['runs', 'leases']) expect(await readdir(join(root, 's', place)), place).to.deep.equal([]);

    const merged = await folder.sweep('merge', ['s']);
    expect(merged.stdout).to.match(/^Sweep\n6 cells: 6 done\n/);
    expect(merged.stdout).to.match(/LoRA r=4 +2\/2 +0\.\d{4} ± 0\.\d{4}/);
    const rows = parse(await readFile(join(root, 's/results.csv')), { columns: true }) as Record<string, string>[];
    expect(rows.map(({ rank }) => rank)).to.deep.equal(['', '', '2', '2', '4', '4']);
    const results = JSON.parse(await readFile(join(root, 's/results.json'), 'utf8'));
    expect(results.sweep.groups).to.have.lengthOf(3);
    expect(results.runs).to.have.lengthOf(6);
    expect(await readFile(join(root, 's/results.md'), 'utf8')).to.match(/^# Sweep\n[\s\S]*## Sweep/);
    expect(await readFile(join(root, 's/report.html'), 'utf8')).to.contain('LoRA r=4, seed 2');
  });

  it('is the same run as train, and as the cell of another sweep', async () => {
    await folder.plan('one', [...SHORT, '--method', 'lora', '--rank', '2', '--seed', '2,3']);
    const [id] = JSON.parse(await readFile(join(root, 'one/sweep.json'), 'utf8')).cells.map(
      (cell: { id: string }) => cell.id,
    );
    expect((await folder.results('s')).has(id)).to.equal(true);
    await folder.sweep('run', ['one', '--cell', '1']);
    const own = await folder.results('one');
    expect([...own.keys()]).to.deep.equal([id]);
    const both = [own, await folder.results('s')].map((results) => lasting(results.get(id)!.run) as { title: string });
    expect({ ...both[0], title: '' }).to.deep.equal({ ...both[1], title: '' });
  });

  it('takes settings from a file, and the command line before it', async () => {
    await writeFile(
      join(root, 'sweep.yaml'),
      'method: [full, lora]\nrank: [2, 4]\nlearning-rate: 1e-5..1e-3\nmax-steps: 4\nseed: [1, 2]\nrandom: 3\ndata: nowhere\nload-best: true\n',
    );
    const result = await folder.plan('drawn', ['--file', 'sweep.yaml', '--seed', '7']);
    expect(result.stdout).to.match(/^3 cells/);
    const { cells, data } = JSON.parse(await readFile(join(root, 'drawn/sweep.json'), 'utf8'));
    for (const { options } of cells) {
      expect(options).to.include({ maxSteps: 4, seed: 7, loadBestModel: true });
      expect(options.learningRate).to.be.within(1e-5, 1e-3);
    }
    expect(data[0].source).to.equal(join(root, 'data.csv'));
  });

  for (const [what, yaml, words] of [
    ['a setting that there is none of', 'metod: full', /There is no setting metod in .*: did you mean method\?/],
    ['a value of another type', 'rank: {a: 1}', /a number or a list of them for rank in .* but found \{"a":1\}/],
    ['a value out of range', 'method: lora\nrank: [0]', /a positive integer for --rank/],
    [
      'a choice that is none',
      'device: tpu',
      /Expected auto, cpu, cuda or cuda:1, the second GPU, for --device but received "tpu"/,
    ],
    ['a switch that is neither', 'load-best: maybe', /true or false for load-best/],
    ['what is no YAML', 'a: [', /Expected YAML in .*bad\.yaml/],
    ['what has no settings', '- a', /Expected settings with their values/],
  ] as const) {
    it(`refuses ${what} in a file`, async () => {
      const file = join(root, 'bad.yaml');
      await writeFile(file, yaml);
      expect(await refusalOf(join(root, 'bad'), '--file', file, '--data', join(root, 'data.csv'))).to.match(words);
    });
  }

  for (const [what, args, words] of [
    ['no data', [], /--data or --train-file/],
    ['an option of another method', ['--data', 'data.csv', '--rank', '4'], /--rank is an option of --method lora/],
    ['a range without a draw', ['--data', 'data.csv', '--learning-rate', '1e-5..1e-3'], /draw some with --random 20/],
    ['a range upside down', ['--data', 'data.csv', '--learning-rate', '1..0'], /a larger one for --learning-rate/],
    ['a value twice', ['--data', 'data.csv', '--seed', '1,1'], /every value once for --seed/],
    ['a grace without a rule', ['--data', 'data.csv', '--grace', '1'], /--grace only applies with --stop median/],
    [
      'a setting that does nothing',
      ['--data', 'data.csv', '--schedule-power', '1,2', '--schedule', 'linear,cosine'],
      /^--schedule-power only applies with --schedule polynomial; leave it out$/,
    ],
    [
      'a rule without evaluations',
      ['--data', 'data.csv', '--stop', 'median', '--eval', 'no'],
      /^--stop median needs evaluations; leave out --eval no$/,
    ],
    [
      'a rule without validation',
      ['--data', 'data.csv', '--stop', 'median', '--test-fraction', '0.2'],
      /--validation-fraction 0\.1/,
    ],
  ] as const) {
    it(`refuses to plan with ${what}`, async () => {
      const given = args.map((arg) => (arg === 'data.csv' ? join(root, arg) : arg));
      expect(await refusalOf(join(root, 'bad'), '--model', join(root, 'model'), ...given)).to.match(words);
    });
  }

  it('refuses a folder that has no sweep, or one of another version', async () => {
    for (const command of ['run', 'merge', 'status']) {
      const result = await folder.sweep(command, ['nowhere']);
      expect(result.status).to.equal(1);
      expect(result.stderr).to.match(/^error \[NOT_FOUND\]: Expected a sweep in nowhere/);
    }
    await folder.plan('old', SHORT);
    const path = join(root, 'old/sweep.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('"numerics": 2', '"numerics": 0'));
    const result = await folder.sweep('run', ['old']);
    expect(result.stderr).to.match(/^error \[INVALID_DATA\]: Expected "numerics": 2 .* planned with bertune 0\.1\.0/);
  });

  it('tells which cells have failed and why, and runs the others', async () => {
    await folder.plan('failing', [...SHORT, '--learning-rate', '1e-3,1e30', '--seed', '1']);
    const run = await folder.sweep('run', ['failing']);
    expect(run.status, run.stderr).to.equal(1);
    expect(run.stdout).to.equal('2 cells: 1 done, 1 failed\n');
    expect(run.stderr).to.match(/learning rate 1e\+30, seed 1 failed: error \[NON_FINITE_\w+\]: .*--learning-rate/);
    const again = await folder.sweep('run', ['failing', '--quiet']);
    expect(again).to.deep.equal({ status: 1, stdout: '2 cells: 1 done, 1 failed\n', stderr: '' });
    const status = await folder.sweep('status', ['failing']);
    expect(status.stdout).to.match(/Failed\nfull, learning rate 1e\+30, seed 1 failed: error \[NON_FINITE/);
    const { sweep } = await folder.merge('failing');
    expect(sweep.groups.map(({ cells }) => cells.failed)).to.deep.equal([0, 1]);
  });

  it('runs what has failed again where it is told to, once', async () => {
    await folder.plan('moved', [...SHORT, '--seed', '1,2']);
    await rename(join(root, 'model'), join(root, 'model-away'));
    const failed = await folder.sweep('run', ['moved']);
    expect(failed.stdout).to.equal('2 cells: 2 failed\n');
    expect(failed.stderr).to.contain('[NOT_FOUND]');
    await rename(join(root, 'model-away'), join(root, 'model'));
    const runs = await Promise.all([1, 2].map(() => folder.sweep('run', ['moved', '--retry-failed'])));
    const started = runs.flatMap(begun);
    expect(started.sort()).to.deep.equal([1, 2].map((seed) => `full, seed ${seed}`));
    expect((await folder.sweep('status', ['moved'])).stdout).to.contain('2 cells: 2 done');
    for (const { attempts } of (await folder.results('moved')).values()) expect(attempts).to.equal(2);
  });

  it('takes a result that cannot be read for a run that failed, and goes on', async () => {
    await folder.plan('torn', [...SHORT, '--seed', '1,2']);
    expect((await folder.sweep('run', ['torn'])).stdout).to.equal('2 cells: 2 done\n');
    const [id] = [...(await folder.results('torn')).keys()];
    await writeFile(join(root, 'torn/results', `${id}.json`), '{"half');
    const { sweep } = await folder.merge('torn');
    expect(sweep.cells.map(({ status }) => status).sort()).to.deep.equal(['done', 'failed']);
    const run = await folder.sweep('run', ['torn']);
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(
      /failed: error \[INVALID_DATA\]: Expected JSON in .*; --retry-failed runs the cell again/,
    );
    expect((await folder.sweep('run', ['torn', '--retry-failed'])).stdout).to.equal('2 cells: 2 done\n');
  });

  it('refuses a cell that was changed in the plan', async () => {
    await folder.plan('edited', SHORT);
    const file = join(root, 'edited/sweep.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('"maxSteps": 4', '"maxSteps": 5'));
    expect(await readFile(file, 'utf8')).to.not.equal(text);
    const run = await folder.sweep('run', ['edited']);
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/\[INVALID_DATA\]: Cell [0-9a-f]{16} of .*sweep.json was changed after it was planned/);
  });

  it('refuses data that have changed since', async () => {
    await copyFile(join(root, 'data.csv'), join(root, 'own.csv'));
    await folder.plan('changed', [...SHORT, '--data', 'own.csv']);
    await writeFile(join(root, 'own.csv'), (await readFile(join(root, 'own.csv'), 'utf8')).replace('bad', 'sad'));
    const run = await folder.sweep('run', ['changed']);
    expect(run.status).to.equal(1);
    expect(run.stderr).to.contain('[INVALID_DATA]: The data have changed since this run was planned');
  });

  it('never runs a cell twice, whoever else is at it', async () => {
    await folder.plan('shared', [...SHORT, '--method', 'linear', '--seed', '1,2,3,4,5,6']);
    const runs = await Promise.all([folder.sweep('run', ['shared', '--jobs', '2']), folder.sweep('run', ['shared'])]);
    for (const { status, stderr } of runs) expect(status, stderr).to.equal(0);
    const started = runs.flatMap(begun);
    expect(started).to.have.lengthOf(6);
    expect(new Set(started).size).to.equal(6);
    for (const run of runs) expect(begun(run).length).to.be.greaterThan(0);
    for (const { attempts } of (await folder.results('shared')).values()) expect(attempts).to.equal(1);
  });

  it('takes the share of an array of SLURM, and the cell of an indexed Job', async () => {
    await folder.plan('array', [...SHORT, '--method', 'linear', '--seed', '1,2,3,4,5']);
    const slurm = { SLURM_ARRAY_TASK_ID: '1', SLURM_ARRAY_TASK_MIN: '0', SLURM_ARRAY_TASK_COUNT: '2' };
    const second = await folder.sweep('run', ['array'], { environment: slurm });
    expect(second.stderr).to.contain('SLURM_ARRAY_TASK_ID=1: share 2 of 2: 2 of 5 cells\n');
    expect(begun(second)).to.deep.equal(['linear probing, seed 2', 'linear probing, seed 4']);
    const pod = await folder.sweep('run', ['array'], { environment: { JOB_COMPLETION_INDEX: '4' } });
    expect(pod.stderr).to.contain('JOB_COMPLETION_INDEX=4: cell 5 of 5\n');
    expect(begun(pod)).to.deep.equal(['linear probing, seed 5']);
    const flag = await folder.sweep('run', ['array', '--cell', '3/5'], { environment: slurm });
    expect(flag.stderr).to.contain('--cell: share 3 of 5: 1 of 5 cells\n');
    expect(begun(flag)).to.deep.equal(['linear probing, seed 3']);
    const { cells } = JSON.parse((await folder.sweep('status', ['array', '--json'])).stdout);
    expect(cells).to.include({ done: 4, waiting: 1 });
  });

  it('goes on where Ctrl-C stopped it, to the same bits', async () => {
    const settings = ['--epochs', '20', '--method', 'lora', '--rank', '2', '--seed', '1'];
    for (const name of ['whole', 'stopped']) await folder.plan(name, settings);
    expect((await folder.sweep('run', ['whole'])).status).to.equal(0);
    const run = await folder.sweep('run', ['stopped'], {
      during: (child) => onceItSays(child, /epoch 3\/20/, () => child.kill('SIGINT')),
    });
    expect(run.status, run.stderr).to.equal(130);
    expect(await readdir(join(root, 'stopped/results'))).to.deep.equal([]);
    const status = await folder.sweep('status', ['stopped']);
    expect(status.stdout).to.equal('Sweep\n1 cell: 1 waiting\n\n');
    expect((await folder.sweep('run', ['stopped'])).status).to.equal(0);
    const [[id, { attempts }] = expect.fail('no result')] = [...(await folder.results('stopped'))];
    expect(attempts).to.equal(2);
    const ended = [await folder.results('whole'), await folder.results('stopped')];
    expect(lasting(ended[1]!.get(id)!.run)).to.deep.equal(lasting(ended[0]!.get(id)!.run));
  });

  it('stops at Ctrl-C also while it waits for a process that still writes to its cell', async () => {
    await folder.plan('held', SHORT);
    const { cells } = JSON.parse(await readFile(join(root, 'held/sweep.json'), 'utf8'));
    const place = join(root, 'held/runs', cells[0].id);
    await mkdir(place, { recursive: true });
    const lock = await DirectoryLock.take(place);
    const lease = join(root, 'held/leases', `${cells[0].id}.1`);
    let began = 0;
    const run = await folder.sweep('run', ['held'], {
      during: (child) =>
        void (async () => {
          while (!existsSync(lease)) await sleep(50);
          await sleep(500);
          began = performance.now();
          child.kill('SIGINT');
        })(),
    });
    await lock.release();
    expect(run.status, run.stderr).to.equal(130);
    expect((performance.now() - began) / 1000).to.be.below(15);
    expect(begun(run)).to.deep.equal([]);
  });

  it('shows what runs, and takes over at once from a worker on this machine that was killed', async () => {
    await folder.plan('killed', ['--epochs', '400', '--method', 'lora', '--seed', '1']);
    let shown: Promise<void> | undefined;
    const run = await folder.sweep('run', ['killed', '--lease', '1'], {
      during: (child) =>
        onceItSays(child, /epoch 3\/400/, () => {
          shown = sleep(500).then(async () => {
            const status = await folder.sweep('status', ['killed']);
            expect(status.stdout)
              .to.match(/1 running[\s\S]*LoRA r=8, seed 1 +epoch \d/)
              .and.contain(String(child.pid));
            const again = ['killed', '--model', 'model', '--data', 'data.csv', '--overwrite'];
            const planned = await folder.sweep('plan', again);
            expect(planned.stderr).to.match(
              new RegExp(
                `^error \\[OUTPUT_REFUSED\\]: Process ${child.pid} on .* runs cells of the sweep in killed; wait`,
              ),
            );
            child.kill('SIGKILL');
          });
        }),
    });
    await shown;
    expect(run.status).to.equal(137);
    const next = await folder.sweep('run', ['killed', '--lease', '600'], {
      during: (child) => onceItSays(child, /epoch \d+\/400/, () => child.kill('SIGINT')),
    });
    expect(next.stderr).to.match(/epoch \d+\/400/);
    const [, first] = /epoch (\d+)\/400/.exec(next.stderr) ?? [];
    expect(Number(first)).to.be.greaterThan(3);
  });

  it('begins a cell again whose process was killed, and gives it up the third time', async function () {
    // Its processes are found in /proc.
    if (process.platform !== 'linux') this.skip();
    await folder.plan('oom', ['--epochs', '400', '--method', 'lora', '--seed', '1']);
    let kills = 0;
    const run = await folder.sweep('run', ['oom'], {
      during: (child) => {
        const kill = () => {
          const own = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
            .trim()
            .split(' ')
            .map(Number);
          for (const pid of own) process.kill(pid, 'SIGKILL');
          kills += 1;
          if (kills < 3) onceItSays(child, /epoch \d+\/400/, kill);
        };
        onceItSays(child, /epoch 2\/400/, kill);
      },
    });
    expect(kills).to.equal(3);
    expect(run.status, run.stderr).to.equal(1);
    expect(run.stderr.match(/ended by SIGKILL; retrying from its last checkpoint/g)).to.have.lengthOf(2);
    expect(run.stderr).to.contain('failed: error [INTERNAL]: The process of this run was ended by SIGKILL');
    expect(run.stdout).to.equal('1 cell: 1 failed\n');
  });

  it('leaves cells to a worker elsewhere that is alive, and takes them from one that is not', async () => {
    await folder.plan('elsewhere', [...SHORT, '--method', 'linear', '--seed', '1,2']);
    expect((await folder.sweep('run', ['elsewhere', '--cell', '2'])).stdout).to.equal('1 cell: 1 done\n');
    const { cells } = JSON.parse(await readFile(join(root, 'elsewhere/sweep.json'), 'utf8'));
    const lease = join(root, 'elsewhere/leases', `${cells[0].id}.1`);
    const holder = { token: 'x', host: 'node7', pid: 7, boot: 'another', since: '2030', progress: '', released: false };
    const write = () => {
      writeFileSync(`${lease}.new`, JSON.stringify(holder));
      renameSync(`${lease}.new`, lease);
    };
    write();
    const beats = setInterval(write, 300);
    try {
      const first = await folder.sweep('run', ['elsewhere', '--lease', '3']);
      expect(first.stdout).to.equal('2 cells: 1 done, 1 running\n');
      expect((await folder.sweep('status', ['elsewhere'])).stdout).to.contain('node7');
    } finally {
      clearInterval(beats);
    }
    write();
    // Longer than a process takes to start on a machine that is busy.
    const second = await folder.sweep('run', ['elsewhere', '--lease', '12']);
    expect(second.stderr).to.contain('waiting to see whether the workers of cells elsewhere are alive (1)');
    expect(second.stdout).to.equal('2 cells: 2 done\n');
    expect(begun(second)).to.deep.equal(['linear probing, seed 1']);
  });

  it('ends what is worse than the others, and says so', async () => {
    const rates = '3e-2,2e-2,1e-2,1e-9';
    await folder.plan('median', ['--epochs', '6', '--method', 'linear', '--learning-rate', rates, '--stop', 'median']);
    const run = await folder.sweep('run', ['median']);
    expect(run.status, run.stderr).to.equal(0);
    const { sweep } = await folder.merge('median');
    const last = sweep.cells.at(-1)!;
    expect(last).to.include({ status: 'stopped' });
    expect(last.stop).to.include({ rule: 'median', of: 3 });
    expect(last.stop!.epoch).to.be.within(2, 5);
    expect(last.stop!.value).to.be.below(last.stop!.median);
    expect(last.metrics).to.equal(undefined);
    expect(run.stderr).to.match(/learning rate 1e-9 stopped after epoch \d: f1_macro 0\.\d+, the median of 3 others/);
    expect(await readdir(join(root, 'median/runs'))).to.deep.equal([]);
  });
});

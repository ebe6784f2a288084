import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'csv-parse/sync';
import { onceItSays, runCli, withFolder } from './run-cli.js';

/** A few texts: every run takes seconds. */
async function writeData(folder: string): Promise<string[]> {
  const rows = ['i love it,joy', 'what a great day,joy', 'so sad,sadness', 'this is awful,sadness'];
  const file = join(folder, 'data.csv');
  await writeFile(file, `text,label\n${`${rows.join('\n')}\n`.repeat(4)}`);
  return ['--train-file', file, '--validation-file', file, '--test-file', file];
}

const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

describe('bertune compare', function () {
  this.timeout(240_000);

  it('lays every method side by side and writes the results', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      const args = [...(await writeData(folder)), '--epochs', '2', '--output', output];
      const methods = ['full', 'linear', 'prefix4', 'lora2', 'lora4', 'logreg'];
      const run = await runCli(['compare', ...args, '--methods', methods.join(',')]);
      expect(run.status, run.stderr).to.equal(0);
      const titles = ['full', 'linear probing', 'prefix tuning P=4', 'LoRA r=2', 'LoRA r=4', 'logistic regression'];
      for (const title of ['Before fine-tuning', ...titles, 'LoRA by rank', 'Comparison']) {
        expect(run.stdout).to.match(new RegExp(`(^|\n)${title}\n`));
      }
      expect(run.stdout.match(/Training Loss/g)).to.have.lengthOf(6);
      expect(run.stdout).to.not.contain('status');
      expect(run.stderr).to.match(
        /linear probing: learning rate 0\.02 \(default for linear at hidden size 256\), linear\n/,
      );
      expect(run.stderr).to.contain('LoRA r=4: steps 2: 2 epochs of 1, 16 examples each').and.not.contain('is new');
      expect(run.stderr).to.contain('logistic regression (7/7)').and.contain(`in ${output}`);

      expect((await readdir(output)).sort()).to.deep.equal([
        'report.html',
        'results.csv',
        'results.json',
        'results.md',
      ]);
      const results = await readJson(output, 'results.json');
      expect(results.runs.map(({ name }: { name: string }) => name)).to.deep.equal(['before', ...methods]);
      for (const { name, status, test, memory, parameters, log_history } of results.runs) {
        expect(status, name).to.equal('done');
        expect(test.examples).to.equal(16);
        expect(memory.process_peak).to.be.greaterThan(memory.model);
        expect(parameters.trainable > 0).to.equal(name !== 'before');
        expect(log_history.filter((row: object) => 'eval_loss' in row)).to.have.lengthOf(
          { before: 0, logreg: 1 }[name as string] ?? 2,
        );
      }
      const rows: Record<string, string>[] = parse(await readFile(join(output, 'results.csv')), { columns: true });
      const [before, ...trained] = rows;
      expect(before).to.include({ name: 'before', train_runtime: '' });
      expect(trained.map((row) => row.learning_rate)).to.deep.equal([
        '0.0003',
        '0.02',
        '0.0006',
        '0.0016',
        '0.0016',
        '',
      ]);
      const markdown = await readFile(join(output, 'results.md'), 'utf8');
      expect(markdown).to.contain('## Comparison').and.contain('| LoRA r=4 |');
    });
  });

  it('trains LoRA methods together, each to what it comes to alone', async () => {
    await withFolder(async (folder) => {
      const args = [...(await writeData(folder)), '--epochs', '2'];
      const runsOf = async (output: string, ...more: string[]) => {
        const run = await runCli(['compare', ...args, '--output', join(folder, output), ...more]);
        expect(run.status, run.stderr).to.equal(0);
        return { ...run, runs: (await readJson(folder, output, 'results.json')).runs };
      };
      const { runs, stdout, stderr } = await runsOf('together', '--together', '--methods', 'lora2,linear,lora4');
      expect(runs.map(({ name, together }: Record<string, unknown>) => [name, together])).to.deep.equal([
        ['before', undefined],
        ['lora2', 2],
        ['lora4', 2],
        ['linear', undefined],
      ]);
      expect(stderr).to.contain('LoRA r=2, LoRA r=4 together (2-3/4)').and.contain('LoRA r=4: epoch 2/2');
      expect(stdout)
        .to.match(/ for 2\b/)
        .and.contain('a time "for 2" is that of 2 methods that trained together');
      const { runs: alone } = await runsOf('alone', '--methods', 'lora4');
      const losses = ({ log_history }: { log_history: { loss?: number; eval_loss?: number }[] }) =>
        log_history.flatMap(({ loss, eval_loss }) => loss ?? eval_loss ?? []);
      expect(losses(runs[2])).to.have.lengthOf(losses(alone[1]).length);
      for (const [i, loss] of losses(alone[1]).entries()) expect(losses(runs[2])[i]).to.be.closeTo(loss, 1e-4 * loss);
      expect(runs[2].test.accuracy).to.equal(alone[1].test.accuracy);
    });
  });

  it('says what trains together where nothing does', async () => {
    const run = await runCli(['compare', '--together', '--methods', 'full,lora8,dora8']);
    expect(run.status).to.equal(2);
    expect(run.stderr).to.match(
      /INVALID_OPTION.*--together takes two LoRA methods or more, e\.g\. --methods lora4,lora8/s,
    );
  });

  it('writes through no link to the directory that nobody named', async () => {
    await withFolder(async (folder) => {
      const elsewhere = join(folder, 'elsewhere');
      await mkdir(join(elsewhere, 'quick'), { recursive: true });
      await writeFile(join(elsewhere, 'results.json'), 'kept');
      await writeFile(join(elsewhere, 'quick', 'results.json'), 'kept');
      const compare = async (link: string, target: string, ...more: string[]) => {
        const cwd = join(folder, `${link.replace('/', '-')}-${more.length}`);
        await mkdir(join(cwd, link, '..'), { recursive: true });
        await symlink(target, join(cwd, link));
        const args = ['compare', ...(await writeData(folder)), '--epochs', '1', '--methods', 'linear', ...more];
        return runCli(args, { cwd });
      };
      for (const link of ['results', 'results/quick']) {
        const run = await compare(link, elsewhere);
        expect(run.status, run.stderr).to.equal(1);
        expect(run.stderr)
          .to.match(/^error \[OUTPUT_REFUSED\]: .*--output/m)
          .and.contain(`${link} is a link`);
      }
      expect(await readFile(join(elsewhere, 'results.json'), 'utf8')).to.equal('kept');
      expect(await readFile(join(elsewhere, 'quick', 'results.json'), 'utf8')).to.equal('kept');
      const named = await compare('results', elsewhere, '--output', 'results/quick', '--overwrite');
      expect(named.status, named.stderr).to.equal(0);
      expect(await readFile(join(elsewhere, 'quick', 'results.json'), 'utf8')).to.not.equal('kept');
    });
  });

  it('refuses a directory in the place of its results before it trains', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      await mkdir(join(output, 'results.csv'), { recursive: true });
      const run = await runCli(['compare', ...(await writeData(folder)), '--output', output, '--overwrite']);
      expect(run.status).to.equal(1);
      expect(run.stderr).to.match(/^error \[OUTPUT_REFUSED\]: .*found a directory there$/m);
      expect(run.stderr).to.not.contain('loss');
    });
  });

  it('gives the same numbers for the same seed, as JSON', async () => {
    await withFolder(async (folder) => {
      const args = [
        'compare',
        ...(await writeData(folder)),
        '--epochs',
        '1',
        '--methods',
        'lora2',
        '--json',
        '--quiet',
      ];
      const first = await runCli([...args, '--output', join(folder, 'a')]);
      const second = await runCli([...args, '--output', join(folder, 'b')]);
      expect(first).to.include({ status: 0, stderr: '' });
      const numbers = (text: string) =>
        JSON.parse(text).runs.map(({ test, train_loss }: { test: { loss: number }; train_loss?: number }) => [
          test.loss,
          train_loss,
        ]);
      expect(numbers(first.stdout)).to.deep.equal(numbers(second.stdout));
    });
  });

  it('goes on after a run that fails, and says so', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      const rates = ['--learning-rate-full', '1e30'];
      const args = [...(await writeData(folder)), '--epochs', '8', '--batch-size', '4', '--output', output, ...rates];
      const run = await runCli(['compare', ...args, '--methods', 'full,linear']);
      expect(run.status, run.stderr).to.equal(1);
      expect(run.stdout).to.contain('full failed: error [NON_FINITE_LOSS]');
      const { runs } = await readJson(output, 'results.json');
      expect(runs.map(({ status }: { status: string }) => status)).to.deep.equal(['done', 'failed', 'done']);
    });
  });

  it('survives the death of a process', async function () {
    if (process.platform !== 'linux') this.skip();
    await withFolder(async (folder) => {
      const args = [...(await writeData(folder)), '--epochs', '20000', '--output', join(folder, 'out')];
      let killed = false;
      const run = await runCli(['compare', ...args, '--methods', 'full'], {
        during: ({ pid, stderr }) => {
          stderr.on('data', (text: string) => {
            if (killed || !text.includes('validation loss')) return;
            killed = true;
            const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
            for (const child of children) process.kill(Number(child), 'SIGKILL');
          });
        },
      });
      expect(run.status).to.equal(1);
      expect(run.stdout).to.contain('full failed: error [INTERNAL]').and.contain('ended by SIGKILL');
    });
  });

  it('stops at Ctrl-C with status 130, and keeps the results so far', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      const args = [...(await writeData(folder)), '--epochs', '20000', '--output', output];
      const run = await runCli(['compare', ...args, '--methods', 'full,linear'], {
        during: (child) => onceItSays(child, /validation loss/, () => child.kill('SIGINT')),
      });
      expect(run.status, run.stderr).to.equal(130);
      const { runs } = await readJson(output, 'results.json');
      expect(runs.map(({ name, status }: Record<string, string>) => `${name} ${status}`)).to.deep.equal([
        'before done',
        'full stopped',
      ]);
    });
  });
});

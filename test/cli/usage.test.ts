import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { inRepository, runCli, withFolder } from './run-cli.js';

const checkpoint = inRepository('test/fixtures/parity/checkpoint');
const train = inRepository('test/fixtures/parity/train.csv');
const test = inRepository('test/fixtures/parity/test.csv');

/** One line that a program can read: `error [CODE]: message`. */
const ERROR_LINE = /^error \[([A-Z_]+)\]: .+\n$/;

describe('usage of the command line', () => {
  it('says on stdout what there is', async () => {
    const help = await runCli(['--help']);
    expect(help).to.include({ status: 0, stderr: '' });
    for (const command of ['train', 'evaluate', 'predict', 'compare', 'inspect'])
      expect(help.stdout).to.contain(command);
    const version = await runCli(['--version']);
    expect(version).to.include({ status: 0, stderr: '' });
    expect(version.stdout).to.match(/^\d+\.\d+\.\d+/);
  });

  it('says an error once where mpirun starts several processes, unless it is one process of them that has it', async () => {
    const run = (rank: number, local: number, ...args: string[]) =>
      runCli(args, {
        environment: {
          ...{ OMPI_COMM_WORLD_RANK: String(rank), OMPI_COMM_WORLD_SIZE: '4' },
          ...{ OMPI_COMM_WORLD_LOCAL_RANK: String(local), OMPI_COMM_WORLD_LOCAL_SIZE: '2' },
        },
      });
    const missing = ['train', '--train-file', 'nowhere.csv', '--model', checkpoint, '--output', 'x'];
    const [first, second, elsewhere, usage, repeated, alone, aloneUsage] = await Promise.all([
      run(0, 0, ...missing),
      run(1, 1, ...missing),
      run(2, 0, ...missing),
      run(1, 1, 'train', '--rank', 'eight'),
      run(0, 0, 'predict', '--model', checkpoint, 'hi'),
      run(1, 1, ...missing, '--output', 'y', '--distributed', 'none'),
      run(1, 1, 'train', '--distributed=none', '--rank', 'eight'),
    ]);
    expect(first.status).to.equal(1);
    expect(first.stderr).to.match(/^error \[NOT_FOUND\]: Expected/);
    expect(second).to.include({ status: 1, stderr: '' });
    expect(elsewhere.status).to.equal(1);
    expect(elsewhere.stderr).to.match(/^error \[NOT_FOUND\]: rank 2 on \S+: Expected/);
    expect(usage).to.include({ status: 2, stderr: '' });
    expect(alone.stderr).to.match(/^error \[NOT_FOUND\]: Expected/);
    expect(aloneUsage.stderr).to.match(/^error \[INVALID_OPTION\]: .*--rank/);
    expect(repeated).to.include({ status: 2, stdout: '' });
    expect(repeated.stderr).to.equal(
      'error [INVALID_OPTION]: bertune predict runs in one process, but mpirun of Open MPI started 4; start it without that. ' +
        '(If each should do work of its own, unset OMPI_COMM_WORLD_RANK.)\n',
    );
  });

  for (const [what, args, words] of [
    ['an unknown command', ['tarin'], /Did you mean train/],
    ['an unknown command of a command', ['sweep', 'paln'], /Did you mean plan/],
    ['no folder', ['sweep', 'run'], /missing required argument 'folder'/],
    ['an unknown option', ['inspect', '--jsn'], /unknown option '--jsn'/],
    ['a missing option', ['predict', 'text'], /--model/],
    ['a value that is no number', ['train', '--rank', 'eight'], /--rank/],
    ['a rank of 0', ['train', '--model', checkpoint, '--output', 'x', '--method', 'lora', '--rank', '0'], /--rank.*0/],
    [
      'a negative rate',
      ['train', '--model', checkpoint, '--output', 'x', '--learning-rate', '-1'],
      /--learning-rate.*-1/,
    ],
    ['an unknown method', ['train', '--method', 'ia3'], /full, linear, prefix, lora, bitfit, logreg/],
    [
      'an option of another method',
      ['train', '--model', checkpoint, '--train-file', train, '--output', 'x', '--rank', '4'],
      /--method lora/,
    ],
    ['no data', ['train', '--model', checkpoint, '--output', 'x'], /--train-file/],
    [
      'an unknown method to compare',
      ['compare', '--methods', 'full,ia3'],
      /prefix<virtual tokens>, lora<rank>, dora<rank>, bitfit or logreg for --methods but received "ia3"/,
    ],
  ] as const) {
    it(`ends with status 2 for ${what}`, async () => {
      const result = await runCli(args);
      expect(result).to.include({ status: 2, stdout: '' });
      expect(result.stderr).to.match(/^error \[INVALID_OPTION\]: /);
      expect(result.stderr).to.match(words);
    });
  }

  it('ends with status 1 and one line for what is not there', async () => {
    await withFolder(async (folder) => {
      const missing = join(folder, 'missing');
      const output = ['--output', join(folder, 'out')];
      for (const args of [
        ['train', '--model', missing, '--train-file', train, ...output],
        ['train', '--model', checkpoint, '--train-file', `${missing}.csv`, ...output],
        ['train', '--model', checkpoint, '--train-file', train, '--text-column', 'body', ...output],
        ['train', '--model', checkpoint, '--train-file', train, '--adapter', missing, ...output],
        ['evaluate', '--model', missing, '--test-file', test],
        ['predict', '--model', missing, 'text'],
        ['compare', '--data', missing, ...output],
        ['inspect', missing],
      ]) {
        const result = await runCli(args);
        expect(result, args.join(' ')).to.include({ status: 1, stdout: '' });
        expect(ERROR_LINE.exec(result.stderr)?.[1], result.stderr).to.equal('NOT_FOUND');
      }
    });
  });

  it('says how to go on where a preset needs the hub and there is no network', async () => {
    await withFolder(async (folder) => {
      const environment = { HF_HOME: folder, HF_HUB_OFFLINE: '1' };
      const args = ['compare', '--preset', 'notebook', '--output', join(folder, 'out')];
      const result = await runCli(args, { environment });
      expect(result).to.include({ status: 1, stdout: '' });
      expect(result.stderr).to.match(/^error \[HUB_UNAVAILABLE\]: .*hf download google-bert\/bert-base-uncased/m);
    });
  });

  it('shows a stack only under DEBUG', async () => {
    const args = ['inspect', inRepository('test')];
    expect((await runCli(args)).stderr.split('\n')).to.have.lengthOf(2);
    expect((await runCli(args, { environment: { DEBUG: '1' } })).stderr).to.match(/BertuneError.*\n +at /);
  });

  it('refuses an output directory that is not empty before it reads anything', async () => {
    await withFolder(async (folder) => {
      await writeFile(join(folder, 'mine.txt'), 'mine');
      const model = ['--model', join(folder, 'missing')];
      for (const args of [
        ['train', ...model, '--train-file', train, '--output', folder],
        ['compare', '--output', folder],
      ]) {
        const result = await runCli(args);
        expect(result, args.join(' ')).to.include({ status: 1, stdout: '' });
        expect(ERROR_LINE.exec(result.stderr)?.[1], result.stderr).to.equal('OUTPUT_REFUSED');
      }
      expect(await readdir(folder)).to.deep.equal(['mine.txt']);
    });
  });

  it('refuses an output that cannot be written', async () => {
    await withFolder(async (folder) => {
      await writeFile(join(folder, 'file'), '');
      await mkdir(join(folder, 'other'));
      const output = join(folder, 'file', 'out');
      const result = await runCli(['train', '--model', checkpoint, '--train-file', train, '--output', output]);
      expect(result.status).to.equal(1);
      expect(ERROR_LINE.exec(result.stderr)?.[1]).to.equal('OUTPUT_REFUSED');
    });
  });
});

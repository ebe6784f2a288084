import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { useTemporaryDirectory } from '../lib/files.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { CLI, type CliResult } from './run-cli.js';

const run = promisify(execFile);

describe('the command line, where its input and output are odd', function () {
  this.timeout(120_000);
  const directory = useTemporaryDirectory();
  beforeEach(() => writeTinyCheckpoint(directory.path('model')));

  /** Runs `bertune predict` in a shell, with what else is to be in its line. */
  async function predict(text: string, redirections: string, before = '', after = ''): Promise<CliResult> {
    const command = `${before} "$0" "$@" ${text} ${redirections} ${after}`;
    const args = [...CLI, 'predict', '--device', 'cpu', '--model', directory.path('model')];
    return run('sh', ['-c', command, process.execPath, ...args], { timeout: 60_000 }).then(
      ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ status: code as number, stdout, stderr }),
    );
  }

  it('ends quietly where nobody reads on', async () => {
    const { status, stdout, stderr } = await predict('', '; echo "status $?" >&2', 'seq 1 5000 | (', ') | head -1');
    expect(status).to.equal(0);
    expect(JSON.parse(stdout)).to.include({ text: '1' });
    expect(stderr).to.equal('status 0\n');
  });

  it('says so where a result cannot be written, and writes it where only messages cannot', async function () {
    if (process.platform !== 'linux') this.skip();
    const full = await predict('good', '> /dev/full');
    expect(full.status).to.equal(1);
    expect(full.stderr).to.match(/^error \[OUTPUT_REFUSED\]: Cannot write to standard output: ENOSPC/m);
    expect(full.stderr).to.not.include('    at ');
    const silent = await predict('good', '2> /dev/full');
    expect(silent.status).to.equal(0);
    expect(JSON.parse(silent.stdout)).to.include({ text: 'good' });
  });

  it('works with streams that are closed, and refuses a directory for its input', async () => {
    expect((await predict('good', '<&- 2>&-')).status).to.equal(0);
    expect((await predict('good', '<&- >&- 2>&-')).status).to.equal(0);
    expect(await predict('', '<&-')).to.include({ status: 0, stdout: '' });
    const { status, stderr } = await predict('', '< /');
    expect(status).to.equal(1);
    expect(stderr).to.match(/^error \[INVALID_DATA\]: Standard input is a directory/m);
  });

  /** Runs a command that saves into `out`, with one of its streams a pipe that nobody reads or a full disk. */
  async function unread(args: string[], redirections: string): Promise<{ status: string; stderr: string }> {
    const data = directory.path('data.csv');
    await writeFile(data, `text,label\n${'good,LABEL_0\nbad,LABEL_1\n'.repeat(8)}`);
    const [status, stderr, out] = ['status', 'stderr', 'out'].map((name) => directory.path(name));
    const all = [...args, '--device', 'cpu', '--train-file', data, '--test-file', data, '--epochs', '1'];
    const command = `("$0" "$@" ${redirections}; echo $? > '${status}') | true`;
    const script = [...CLI, ...all, '--output', out!];
    await writeFile(stderr!, '');
    await run('sh', ['-c', command.replace('STDERR', `'${stderr}'`), process.execPath, ...script], {
      timeout: 100_000,
    });
    return { status: (await readFile(status!, 'utf8')).trim(), stderr: await readFile(stderr!, 'utf8') };
  }

  for (const [command, saved] of [
    ['train', ['model.safetensors', 'results.json', 'trainer_state.json']],
    ['compare', ['results.csv', 'results.json', 'results.md']],
  ] as const) {
    const method = command === 'train' ? ['--method', 'linear'] : ['--methods', 'linear'];
    const args = () => [command, '--model', directory.path('model'), ...method];

    for (const [words, redirections] of [
      ['messages', '2>&1 >/dev/null'],
      ['results', '2>STDERR'],
      ['messages and results', '2>&1'],
    ] as const) {
      it(`finishes and saves a ${command} whose ${words} nobody reads`, async () => {
        const { status, stderr } = await unread(args(), redirections);
        expect(status).to.equal('0');
        expect(stderr).to.not.contain('error [');
        expect(await readdir(directory.path('out')))
          .to.include.members([...saved])
          .and.not.include('.bertune.lock');
      });
    }

    it(`finishes and saves a ${command} whose results cannot be written, and says so`, async function () {
      if (process.platform !== 'linux') this.skip();
      const { status, stderr } = await unread(args(), '2>STDERR >/dev/full');
      expect(status).to.equal('1');
      expect(stderr.match(/^error \[OUTPUT_REFUSED\]: Cannot write to standard output: ENOSPC/gm)).to.have.lengthOf(1);
      expect(await readdir(directory.path('out')))
        .to.include.members([...saved])
        .and.not.include('.bertune.lock');
    });
  }

  it('shows its help to a reader that is gone, and says so where it cannot', async () => {
    const help = async (redirections: string) => (await predict('--help', redirections)).status;
    expect(await help('| true')).to.equal(0);
    if (process.platform === 'linux') expect(await help('> /dev/full')).to.equal(1);
  });
});

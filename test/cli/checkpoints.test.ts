import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { contentsOf, expectSame } from '../faults/disk/contents.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { type CliOptions, onceItSays, runCli, withFolder } from './run-cli.js';

describe('bertune train with checkpoints', function () {
  this.timeout(120_000);

  /** A folder with a tiny model and data, and what runs `train` on them. */
  function withRun(
    work: (
      folder: string,
      train: (output: string, args?: string[], options?: CliOptions) => ReturnType<typeof runCli>,
    ) => Promise<void>,
  ): Promise<void> {
    return withFolder(async (folder) => {
      await writeTinyCheckpoint(join(folder, 'base'), { dropout: 0.1 });
      const { texts, labels } = tinySplit('train', 40, 3);
      const rows = texts.map((text, i) => `${text},${LABELS[labels[i]!]}`);
      await writeFile(join(folder, 'train.csv'), `text,label\n${rows.join('\n')}\n`);
      const fixed = ['--model', join(folder, 'base'), '--train-file', join(folder, 'train.csv'), '--method', 'lora'];
      const also = ['--validation-file', join(folder, 'train.csv'), '--threads', '1', '--batch-size', '4'];
      await work(folder, (output, args = [], options = {}) =>
        runCli(['train', ...fixed, ...also, '--output', join(folder, output), ...args], options),
      );
    });
  }

  it('goes on after Ctrl-C, and ends as if it had not been stopped', () =>
    withRun(async (folder, train) => {
      const args = ['--epochs', '300', '--logging-steps', '50', '--save-strategy', 'steps', '--save-steps', '200'];
      const limited = [...args, '--save-total-limit', '2'];
      const stopped = await train('run', limited, {
        // A second Ctrl-C would end it without saving.
        during: (child) => onceItSays(child, /checkpoint-/, () => child.kill('SIGINT')),
      });
      expect(stopped.status, stopped.stderr).to.equal(130);
      expect(stopped.stderr).to.match(/saved in .*run; the same command with --resume goes on/);
      const left = (await readdir(join(folder, 'run'))).filter((name) => name.startsWith('checkpoint-'));
      expect(left).to.have.lengthOf.within(1, 2);

      const anew = await train('run', limited);
      expect(anew.status).to.equal(1);
      expect(anew.stderr).to.contain('OUTPUT_REFUSED').and.to.contain('is not empty');
      const other = await train('run', [...limited, '--resume', '--learning-rate', '0.1']);
      expect(other.status).to.equal(2);
      expect(other.stderr).to.match(/INVALID_OPTION.*Expected 0.0016 for --learning-rate.*but received 0.1/);

      const [end, whole] = [await train('run', [...limited, '--resume']), await train('whole', limited)];
      expect(end.status, end.stderr).to.equal(0);
      expect(end.stderr).to.match(/goes on +from step \d+/);
      expect(whole.status, whole.stderr).to.equal(0);
      expectSame(contentsOf(join(folder, 'run')), contentsOf(join(folder, 'whole')), 'resumed');
      const names = await readdir(join(folder, 'run'));
      expect(names.sort()).to.deep.equal((await readdir(join(folder, 'whole'))).sort());
      expect(names.filter((name) => name.startsWith('checkpoint-'))).to.deep.equal([
        'checkpoint-2800',
        'checkpoint-3000',
      ]);
    }));

  it('starts at the beginning where --resume finds no checkpoint, and where --overwrite removes them', () =>
    withRun(async (folder, train) => {
      const args = ['--max-steps', '4', '--save-strategy', 'steps', '--save-steps', '2'];
      const first = await train('run', [...args, '--resume']);
      expect(first.status, first.stderr).to.equal(0);
      expect(first.stderr).to.match(/no checkpoint in .*run yet: the run starts at the beginning/);
      const shorter = await train('run', ['--max-steps', '3', '--save-strategy', 'epoch', '--overwrite']);
      expect(shorter.status, shorter.stderr).to.equal(0);
      const names = (await readdir(join(folder, 'run'))).filter((name) => name.startsWith('checkpoint-'));
      expect(names).to.deep.equal(['checkpoint-3']);
    }));

  it('starts at the beginning where a run was killed before its first checkpoint', () =>
    withRun(async (folder, train) => {
      const first = await train('run', ['--max-steps', '4', '--save-strategy', 'epoch']);
      expect(first.status, first.stderr).to.equal(0);
      for (const name of await readdir(join(folder, 'run'))) {
        if (name !== 'training_rows.json') await rm(join(folder, 'run', name), { recursive: true });
      }
      const again = await train('run', ['--max-steps', '4', '--save-strategy', 'epoch', '--resume']);
      expect(again.status, again.stderr).to.equal(0);
    }));

  it('makes a finished run longer where it left checkpoints, and says how to go on where it left none', () =>
    withRun(async (folder, train) => {
      const first = await train('run', ['--epochs', '1', '--save-strategy', 'epoch']);
      expect(first.status, first.stderr).to.equal(0);
      const longer = await train('run', ['--epochs', '2', '--save-strategy', 'epoch', '--resume']);
      expect(longer.status, longer.stderr).to.equal(0);
      expect(longer.stderr).to.contain('note: The run now takes 20 steps, 10 before. From step 10 on');
      const names = (await readdir(join(folder, 'run'))).filter((name) => name.startsWith('checkpoint-'));
      expect(names.sort()).to.deep.equal(['checkpoint-10', 'checkpoint-20']);

      const bare = await train('bare', ['--epochs', '1']);
      expect(bare.status, bare.stderr).to.equal(0);
      const none = await train('bare', ['--epochs', '2', '--resume']);
      expect(none.status).to.equal(1);
      expect(none.stderr).to.match(/NOT_FOUND.*no checkpoint in .*bare.*--model .*bare --output/);
    }));

  it('refuses a directory that another process writes to, and a checkpoint that is none', () =>
    withRun(async (folder, train) => {
      await mkdir(join(folder, 'run'));
      let second: Awaited<ReturnType<typeof runCli>> | undefined;
      const first = await train('run', ['--epochs', '100000', '--logging-steps', '1'], {
        during: (child) =>
          onceItSays(child, /step 1 /, async () => {
            second = await train('run', ['--overwrite']);
            child.kill('SIGTERM');
          }),
      });
      expect(first.status).to.equal(143);
      expect(second?.status).to.equal(1);
      expect(second?.stderr).to.match(/OUTPUT_REFUSED.*is being written by process \d+/);
      const none = await train('other', ['--resume', join(folder, 'base')]);
      expect(none.status).to.equal(1);
      expect(none.stderr).to.match(/NOT_FOUND.*Expected a checkpoint of a run at .*base/);
    }));
});

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { inRepository, runCli, withFolder } from './run-cli.js';

const model = ['--model', inRepository('test/fixtures/parity/checkpoint')];
const quick = ['--method', 'linear', '--max-steps', '2', '--eval', 'epoch'];
const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

/** Sixty texts of two labels. */
async function writeRows(file: string, more = ''): Promise<string> {
  const rows = Array.from({ length: 30 }, (_, i) => `i love it ${i},good\nthis is awful ${i},bad\n`);
  await writeFile(file, `text,label\n${rows.join('')}${more}`);
  return file;
}

describe('rows held out on the command line', function () {
  this.timeout(480_000);

  it('are measured at the end of training, and again by evaluate', async () => {
    await withFolder(async (folder) => {
      const file = await writeRows(join(folder, 'mine.csv'));
      const output = join(folder, 'out');
      const run = await runCli(['train', ...model, '--data', file, ...quick, '--output', output]);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr).to.contain('note: held out of the 60 training rows: 6 for test, 6 for validation');
      expect(run.stdout).to.contain('Test\n').and.contain('Validation Loss');
      const { data, test } = await readJson(output, 'results.json');
      expect(data.splits).to.deep.equal({ train: 48, validation: 6, test: 6 });
      expect(data.held_out).to.deep.include({ seed: 42, rows: { train: 48, test: 6, validation: 6 } });

      const evaluate = (...args: string[]) => runCli(['evaluate', '--model', output, ...args]);
      const again = await evaluate('--data', file, '--json');
      expect(again.status, again.stderr).to.equal(0);
      expect(again.stderr).to.contain(`measured: the 6 rows of ${file} that were held out for test`);
      expect(JSON.parse(again.stdout)).to.deep.include({ examples: 6, loss: test.loss, confusion: test.confusion });
      const trained = await evaluate('--data', file, '--split', 'train', '--json');
      expect(JSON.parse(trained.stdout).examples).to.equal(48);
      expect(trained.stderr).to.contain('the model was trained on these rows');
      const whole = await evaluate('--test-file', file, '--json');
      expect(JSON.parse(whole.stdout).examples).to.equal(60);
      expect(whole.stderr).to.contain('the model was trained on 48 of these 60 rows');
      const chosen = await evaluate('--data', file, '--split', 'validation', '--json');
      expect(JSON.parse(chosen.stdout).examples).to.equal(6);

      const other = join(folder, 'other.csv');
      await writeFile(other, 'text,label\nnew,good\n');
      const unknown = await evaluate('--data', other, '--json');
      expect(JSON.parse(unknown.stdout).examples).to.equal(1);
      expect(unknown.stderr).to.contain(`measured: the only row of ${other}`);
      await writeRows(file, 'one more,good\n');
      const changed = await evaluate('--data', file, '--json');
      expect(JSON.parse(changed.stdout)).to.deep.include({ examples: 6, confusion: test.confusion });
      expect(changed.stderr).to.contain(
        '48 of 61 rows were trained on, 6 were held out for validation and 1 is new: not measured',
      );

      // The same rows in another order, another format, another case and under another name.
      const [, ...lines] = (await readFile(file, 'utf8')).trim().split('\n');
      const records = lines.reverse().map((line) => line.split(',')) as [string, string][];
      const shuffled = join(folder, 'shuffled.jsonl');
      await writeFile(
        shuffled,
        records.map(([text, label]) => JSON.stringify({ text: `${text.toUpperCase()} `, label })).join('\n'),
      );
      const shuffledAgain = await evaluate('--data', shuffled, '--json');
      expect(JSON.parse(shuffledAgain.stdout).examples).to.equal(6);
      const kept = JSON.parse(await readFile(join(output, 'training_rows.json'), 'utf8'));
      expect(Object.values(kept).map((packed) => Buffer.from(packed as string, 'base64').length / 6)).to.deep.equal([
        48, 6, 6,
      ]);
    });
  });

  it('are none with --no-holdout or with files of splits, and what is not measured is said', async () => {
    await withFolder(async (folder) => {
      const file = await writeRows(join(folder, 'mine.csv'));
      const output = join(folder, 'out');
      const without = await runCli(['train', ...model, '--data', file, ...quick, '--no-holdout', '--output', output]);
      expect(without.status, without.stderr).to.equal(0);
      expect(without.stderr).to.match(/^note: nothing is measured, .*leave out --no-holdout$/m);
      expect(without.stderr).to.not.contain('-fraction');
      expect(without.stdout).to.not.match(/measured|Validation Loss| - /);
      const evaluated = await runCli(['evaluate', '--model', output, '--data', file]);
      expect(evaluated).to.include({ status: 1, stdout: '' });
      expect(evaluated.stderr).to.match(
        /^error \[INVALID_DATA\]: The model was trained on all 60 rows of .*--split train/,
      );
      await writeRows(file, 'one more,good\n');
      const added = await runCli(['evaluate', '--model', output, '--data', file, '--json']);
      expect(JSON.parse(added.stdout).examples).to.equal(1);
      expect(added.stderr).to.contain('60 of 61 rows were trained on: not measured');
      await writeRows(file);

      const files = ['--train-file', file, '--validation-file', file, '--overwrite', '--output', output];
      const chosen = await runCli(['train', ...model, ...files, ...quick]);
      expect(chosen.status, chosen.stderr).to.equal(0);
      expect(chosen.stderr).to.match(/^note: the result is that of the validation split, .*--test-fraction 0\.1/m);
      expect(chosen.stdout)
        .to.match(/^Validation\n/m)
        .and.not.match(/^Test\n/m);
      const { data, validation } = await readJson(output, 'results.json');
      expect(data.splits).to.deep.equal({ train: 60, validation: 60 });
      expect(validation.examples).to.equal(60);
      expect(await readFile(join(output, 'report.html'), 'utf8'))
        .to.contain('on the validation split')
        .and.contain('60 of 60 validation texts are training texts too');
    });
  });

  it('do not hide that all rows are of one class', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'praise.csv');
      await writeFile(file, `text,label\n${Array.from({ length: 40 }, (_, i) => `text ${i},praise\n`).join('')}`);
      for (const command of [
        ['train', ...model, '--data', file, '--output', join(folder, 'a')],
        ['compare', '--train-file', file, '--output', join(folder, 'b')],
      ]) {
        const run = await runCli(command);
        expect(run).to.include({ status: 1, stdout: '' });
        expect(run.stderr).to.match(
          /error \[INVALID_DATA\]: all 40 rows of .*praise\.csv are labeled "praise": a classifier needs at least two classes\n/,
        );
      }
    });
  });
});

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { inRepository, runCli, withFolder } from './run-cli.js';

const MODEL = ['--model', inRepository('assets/models/bert-mini')];
const QUICK = ['--method', 'linear', '--max-steps', '2', '--max-length', '16', '--eval', 'no'];

describe('tasks on the command line', function () {
  this.timeout(120_000);

  it('are multi-label for columns, lists and separators alike', async () => {
    await withFolder(async (folder) => {
      const rows = Array.from({ length: 30 }, (_, i) => ({
        text: `text ${i}`,
        labels: ['even', 'third'].filter((_, j) => i % (j + 2) === 0),
      }));
      const columns = rows.map(
        ({ text, labels }) => `${text},${['even', 'third'].map((n) => Number(labels.includes(n)))}`,
      );
      const files = {
        'columns.csv': `text,even,third\n${columns.join('\n')}\n`,
        'lists.jsonl': rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
        'parts.tsv': `text\tlabel\n${rows.map(({ text, labels }) => `${text}\t${labels.join('|')}\n`).join('')}`,
      };
      for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
      const output = join(folder, 'out');
      const data = ['--train-file', join(folder, 'columns.csv'), '--label-columns', 'even,third', '--no-holdout'];
      const run = await runCli(['train', ...MODEL, ...data, ...QUICK, '--output', output]);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr)
        .to.match(/^task: multi-label classification$/m)
        .and.contain('train: 30 texts; even 15 (50.00 %), third 10 (33.33 %)');
      const config = JSON.parse(await readFile(join(output, 'config.json'), 'utf8'));
      expect(config.problem_type).to.equal('multi_label_classification');

      const measured = [];
      for (const args of [
        ['columns.csv', '--label-columns', 'third,even'],
        ['lists.jsonl'],
        ['parts.tsv', '--label-separator', '|'],
      ]) {
        const [name, ...how] = args as [string, ...string[]];
        const evaluation = ['evaluate', '--model', output, '--test-file', join(folder, name), ...how, '--json'];
        const { status, stdout, stderr } = await runCli(evaluation);
        expect(status, stderr).to.equal(0);
        expect(stderr).to.match(/^task: multi-label classification$/m);
        const { loss, f1_micro, examples } = JSON.parse(stdout);
        measured.push({ loss, f1_micro, examples });
      }
      expect(measured[0]!.examples).to.equal(30);
      expect(measured[1]).to.deep.equal(measured[0]);
      expect(measured[2]).to.deep.equal(measured[0]);

      const other = await runCli([
        'evaluate',
        '--model',
        output,
        '--test-file',
        join(folder, 'lists.jsonl'),
        '--task',
        'regression',
      ]);
      expect(other.status).to.equal(2);
      expect(other.stderr).to.contain('is multi_label_classification: leave out --task regression');
    });
  });

  it('are regression for fractions, for integers on request, and for a model that was trained so', async () => {
    await withFolder(async (folder) => {
      const csv = (values: (i: number) => unknown) =>
        `text,score\n${Array.from({ length: 30 }, (_, i) => `text ${i},${values(i)}\n`).join('')}`;
      await writeFile(
        join(folder, 'halves.csv'),
        csv((i) => i / 2),
      );
      await writeFile(
        join(folder, 'whole.csv'),
        csv((i) => i % 5),
      );
      await writeFile(
        join(folder, 'names.csv'),
        csv((i) => (i % 2 === 0 ? 'good' : 'bad')),
      );
      const output = join(folder, 'out');
      const train = ['train', ...MODEL, ...QUICK, '--overwrite', '--output', output, '--data'];
      const halves = await runCli([...train, join(folder, 'halves.csv')]);
      expect(halves.status, halves.stderr).to.equal(0);
      expect(halves.stderr)
        .to.match(/^task: regression$/m)
        .and.match(/^train: 24 texts; score [\d.]+ to [\d.]+, mean [\d.]+$/m)
        .and.contain('set --task single-label');
      const whole = await runCli([...train, join(folder, 'whole.csv'), '--task', 'regression']);
      expect(whole.status, whole.stderr).to.equal(0);

      const measure = ['evaluate', '--model', output, '--test-file'];
      const again = await runCli([...measure, join(folder, 'whole.csv'), '--json']);
      expect(again.status, again.stderr).to.equal(0);
      expect(again.stderr).to.match(/^task: regression$/m);
      expect(JSON.parse(again.stdout).mse).to.be.a('number');
      const names = await runCli([...measure, join(folder, 'names.csv')]);
      expect(names.status).to.equal(1);
      expect(names.stderr).to.match(
        /Expected a number for score in .*names\.csv, line 2, but found "good"\. The problem_type of .* is regression/,
      );
    });
  });
});

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { onceItSays, runCli, withFolder } from './run-cli.js';

describe('logistic regression on the command line', function () {
  this.timeout(120_000);

  it('trains in one step and predicts; refuses options of training in steps', async () => {
    await withFolder(async (folder) => {
      await writeTinyCheckpoint(join(folder, 'base'), { classifier: false });
      const rows = ['i love it,joy', 'what a great day,joy', 'so sad,sadness', 'this is awful,sadness'];
      await writeFile(join(folder, 'data.csv'), `text,label\n${`${rows.join('\n')}\n`.repeat(3)}`);
      const data = ['--model', join(folder, 'base'), '--train-file', join(folder, 'data.csv'), '--no-holdout'];
      const output = join(folder, 'out');
      const train = ['train', ...data, '--method', 'logreg', '--output', output];
      const refused = await runCli([...train, '--epochs', '3']);
      expect(refused.status).to.equal(2);
      expect(refused.stderr).to.contain('--epochs has no effect with --method logreg');

      const run = await runCli([...train, '--l2', 'auto']);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr).to.contain('logistic regression on embeddings, L2 auto').and.not.contain('learning rate');
      const results = JSON.parse(await readFile(join(output, 'results.json'), 'utf8'));
      expect(results).to.include({ status: 'done', steps: 1, epochs: 1 });
      expect(results.method.l2).to.be.a('number');
      expect(results.settings).to.include({ seed: 42 }).and.not.have.property('learning_rate');
      const card = await readFile(join(output, 'README.md'), 'utf8');
      expect(card)
        .to.contain(`logistic regression on embeddings, L2 ${results.method.l2}`)
        .and.not.contain('learning rate');

      const texts = ['i love it', 'this is awful'];
      const predicted = await runCli(['predict', '--model', output, ...texts]);
      expect(predicted.status, predicted.stderr).to.equal(0);
      expect(
        predicted.stdout.match(/"label": ?"(\w+)"/g)?.map((match) => match.replace(/.*"(\w+)"$/, '$1')),
      ).to.deep.equal(['joy', 'sadness']);
      const resumed = await runCli([...train, '--resume']);
      expect(resumed.stderr).to.match(/^error \[NOT_FOUND\]: There is no checkpoint/m);
    });
  });

  it('promises no way to go on where Ctrl-C ends it after the fit', async () => {
    await withFolder(async (folder) => {
      await writeTinyCheckpoint(join(folder, 'base'), { classifier: false });
      const rows = ['i love it,joy', 'this is awful,sadness'];
      const long = rows.map((row) => `${'what a day '.repeat(15)}${row}`);
      await writeFile(join(folder, 'train.csv'), `text,label\n${`${rows.join('\n')}\n`.repeat(3)}`);
      await writeFile(join(folder, 'long.csv'), `text,label\n${`${long.join('\n')}\n`.repeat(2000)}`);
      const data = ['--train-file', join(folder, 'train.csv'), '--validation-file', join(folder, 'long.csv')];
      const args = ['--model', join(folder, 'base'), ...data, '--output', join(folder, 'out'), '--threads', '1'];
      const stopped = await runCli(['train', ...args, '--method', 'logreg', '--calibrate'], {
        during: (child) => onceItSays(child, /epoch 1\/1/, () => child.kill('SIGINT')),
      });
      expect(stopped.status, stopped.stderr).to.equal(130);
      expect(stopped.stderr).to.contain('after step 1 is saved in').and.not.contain('--resume');
    });
  });
});

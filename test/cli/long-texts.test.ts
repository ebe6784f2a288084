import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { TextClassifier } from '../../lib/model/classifier.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { runCli, withFolder } from './run-cli.js';

describe('long texts on the command line', () => {
  it('are read in windows by train, and from then on by evaluate and predict, unless told otherwise', async () => {
    await withFolder(async (folder) => {
      await writeTinyCheckpoint(join(folder, 'base'));
      const { texts, labels, labelNames } = tinySplit('train', 12, 1);
      const rows = texts.map((text, i) => `${text},${labelNames[labels[i]!]}`);
      await writeFile(join(folder, 'data.csv'), `text,label\n${rows.join('\n')}\n`);
      const run = async (...args: string[]) => {
        const result = await runCli([...args, '--device', 'cpu'], { cwd: folder });
        expect(result.status, result.stderr).to.equal(0);
        return result;
      };
      const data = ['--model', './base', '--train-file', 'data.csv', '--max-steps', '1', '--output', 'out'];
      const windows = ['--max-length', '4', '--stride', '1', '--window-pooling', 'max', '--gradient-checkpointing'];
      const trained = await run('train', ...data, ...windows);
      expect(trained.stderr).to.match(/longest text +4 tokens; \d+ windows of the training texts\n/);
      await using model = await TextClassifier.load(join(folder, 'out'), { device: 'cpu' });
      const text = texts.find((each) => each.split(' ').length > 6)!;
      const scoreOf = async (...args: string[]) => {
        const { stdout } = await run('predict', '--model', 'out', text, ...args);
        return (JSON.parse(stdout) as { score: number }).score;
      };
      const expected = async (...options: Parameters<TextClassifier['predict']>[1][]) =>
        (await model.predict([text], options[0]))[0]!.score;
      expect(await scoreOf()).to.be.closeTo(await expected({ maxLength: 4, stride: 1, windowPooling: 'max' }), 1e-6);
      expect(await scoreOf('--truncation', 'tail')).to.be.closeTo(await expected({ truncation: 'tail' }), 1e-6);
      const cut = await run('evaluate', '--model', 'out', '--test-file', 'data.csv', '--truncation', 'head-tail');
      expect(cut.stderr).to.match(/texts were longer than the model takes and cut/);
      const whole = await run('evaluate', '--model', 'out', '--test-file', 'data.csv');
      expect(whole.stderr).not.to.match(/cut/);
      const wrong = await runCli(['predict', '--model', 'out', text, '--truncation', 'tail', '--stride', '1'], {
        cwd: folder,
      });
      expect(wrong.status).to.equal(2);
      expect(wrong.stderr).to.include('--truncation tail cuts long texts, and --stride 1 reads them in windows');
    });
  }).timeout(120_000);
});

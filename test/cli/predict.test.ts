import { readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { noteOn } from '../../lib/cli/texts/lines.js';
import { copyWith } from '../lib/files.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { runCli, withFolder } from './run-cli.js';

const parseLines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('bertune predict, pairs and files', () => {
  /** A folder with `model`, and `pairs` and `single`, which remember what they were trained on. */
  async function inFolder(work: (folder: string, predict: typeof runCli) => Promise<void>): Promise<void> {
    await withFolder(async (folder) => {
      await writeTinyCheckpoint(join(folder, 'model'));
      for (const [name, pairs] of [
        ['pairs', true],
        ['single', false],
      ] as const) {
        await copyWith(join(folder, 'model'), join(folder, name), 'config.json', (config) => {
          config.bertune = { pairs };
        });
      }
      await work(folder, (args, options) =>
        runCli(['predict', '--device', 'cpu', '--model', ...args], { cwd: folder, ...options }),
      );
    });
  }

  it('takes a pair, from arguments and from stdin', async () => {
    await inFolder(async (_folder, predict) => {
      const given = await predict(['./pairs', 'the day', '--text-pair', 'was good']);
      expect(given.status, given.stderr).to.equal(0);
      const [line] = parseLines(given.stdout);
      expect(line).to.include({ text: 'the day', text_pair: 'was good' });
      const input = '["the day", "was good"]\n{"n": 1, "text": "the day", "text_pair": "was good"}\n';
      const piped = await predict(['./pairs', '--input-format', 'jsonl'], { input });
      const [array, object] = parseLines(piped.stdout);
      expect(array).to.deep.include({ text_pair: 'was good', label: line!.label });
      expect(object).to.include({ n: 1, text_pair: 'was good', predicted_label: line!.label });
    });
  });

  it('refuses the kind that was not trained on, and says how to give the other', async () => {
    await inFolder(async (folder, predict) => {
      await writeFile(join(folder, 'in.csv'), 'premise,hypothesis\na,b\n');
      const cases: [string[], string, RegExp][] = [
        [['./pairs', 'a', 'b'], '', /^error \[INVALID_DATA\]: .*--text-pair\n$/],
        [['./pairs'], 'a\nb\n', /^error \[INVALID_DATA\]: .*line 1; pass --input-format jsonl/],
        [['./pairs', '--file', 'in.csv', '--text-column', 'premise'], '', /in\.csv, line 2; .*--text-pair-column/],
        [['./single', 'a', '--text-pair', 'b'], '', /leave out --text-pair/],
        [['./single', '--file', 'in.csv'], '', /--text-column/],
      ];
      for (const [args, input, message] of cases) {
        const run = await predict(args, { input });
        expect(run, args.join(' ')).to.include({ status: 1, stdout: '' });
        expect(run.stderr).to.match(message);
      }
      expect(await predict(['./pairs', 'a', '--text-kind', 'any'])).to.include({ status: 0, stderr: '' });
      await writeFile(join(folder, 'test.csv'), 'text,label\na,no\n');
      const evaluated = await runCli(['evaluate', '--model', './pairs', '--test-file', 'test.csv'], { cwd: folder });
      expect(evaluated.stderr).to.match(/^error \[INVALID_DATA\]: .*trained on pairs of texts.*--text-pair-column/);
    });
  });

  it('reads a file, and writes one that takes its name when it is whole', async () => {
    await inFolder(async (folder, predict) => {
      await writeFile(join(folder, 'in.csv'), 'id,review,label\n07,"good, day",yes\n8,bad,no\n');
      const args = ['./model', '--file', 'in.csv', '--text-column', 'review'];
      const run = await predict([...args, '--output', 'out.csv']);
      expect(run, run.stderr).to.deep.equal({ status: 0, stdout: '', stderr: 'wrote 2 rows to out.csv\n' });
      expect(await readFile(join(folder, 'out.csv'), 'utf8')).to.match(
        /^id,review,label,predicted_label,predicted_score\n07,"good, day",yes,\w+,0\.\d+\n8,bad,no,\w+,0\.\d+\n$/,
      );
      const again = await predict([...args, '--output', 'out.csv']);
      expect(again.status).to.equal(1);
      expect(again.stderr).to.match(/^error \[OUTPUT_REFUSED\]: .*out\.csv.*--overwrite/);
      await symlink(join(folder, 'in.csv'), join(folder, 'link.csv'));
      for (const same of ['in.csv', 'link.csv']) {
        const over = await predict([...args, '--output', same, '--overwrite']);
        expect(over.status).to.equal(1);
        expect(over.stderr).to.match(/^error \[OUTPUT_REFUSED\]: .* is the file that --file reads/);
      }
      await writeFile(join(folder, 'taken.csv'), 'my_label,review\nyes,good\n');
      const taken = await predict(['./model', '--file', 'taken.csv', '--text-column', 'review', '--prefix', 'my_']);
      expect(taken.stderr).to.match(/^error \[INVALID_DATA\]: .*"my_label"/);
      const lines = await predict([...args, '--top-k', '2', '--no-text']);
      expect(Object.keys(parseLines(lines.stdout)[0]!)).to.deep.equal([
        ...['id', 'label', 'predicted_label', 'predicted_score', 'predicted_top'],
      ]);
    });
  });

  it('leaves nothing of a file at Ctrl-C, nor where a row is broken', async () => {
    await inFolder(async (folder, predict) => {
      await writeFile(join(folder, 'long.csv'), `text,n\n${'the day was good,1\n'.repeat(300_000)}`);
      const before = await readdir(folder);
      const args = ['./model', '--file', 'long.csv', '--output', 'out.csv', '--threads', '1'];
      const stopped = await predict(args, {
        during: (child) => {
          const timer = setInterval(async () => {
            if ((await readdir(folder)).length === before.length) return;
            clearInterval(timer);
            child.kill('SIGINT');
          }, 20);
        },
      });
      expect(stopped.status, stopped.stderr).to.equal(130);
      expect(await readdir(folder)).to.deep.equal(before);
      await writeFile(join(folder, 'cut.csv'), `text,n\n${'good,1\n'.repeat(2000)}bad\ngood,1\n`);
      const broken = await predict(['./model', '--file', 'cut.csv', '--output', 'out.csv']);
      expect(broken.stderr).to.match(/^error \[INVALID_DATA\]: .*cut\.csv, line 2002/);
      expect((await readdir(folder)).sort()).to.deep.equal([...before, 'cut.csv'].sort());
      const skipped = await predict(['./model', '--file', 'cut.csv', '--output', 'out.csv', '--skip-invalid']);
      expect(skipped.status, skipped.stderr).to.equal(0);
      expect(skipped.stderr).to.match(/^note: left out 1 row with too few columns.*\nwrote 2001 rows to out\.csv\n$/);
    });
  });

  it('says where stdin looks like a file of another format', async () => {
    await inFolder(async (_folder, predict) => {
      const run = await predict(['./model'], { input: 'text,label\ngood,yes\n' });
      expect(run.status).to.equal(0);
      expect(parseLines(run.stdout)).to.have.lengthOf(2);
      expect(run.stderr).to.match(/^note: .*text,label.*--file\n$/);
    });
    const headers = ['text,label', '"id";"review_text"', 'text\tlabel', 'Review, Label', 'premise,hypothesis,label'];
    for (const line of headers) expect(noteOn(line), line).to.contain('--file');
    for (const line of ['{"text": "a"}', '["a", "b"]']) expect(noteOn(line), line).to.contain('jsonl');
    for (const line of [
      '',
      'good',
      'fine, thanks',
      'well, that was a good day',
      '{not json',
      'a; b; c',
      '[1] is a footnote',
    ]) {
      expect(noteOn(line), line).to.equal(undefined);
    }
  });

  it('refuses arguments that contradict each other', async () => {
    await inFolder(async (_folder, predict) => {
      for (const [args, flag] of [
        [['a', '--file', 'in.csv'], '--file'],
        [['a', 'b', '--text-pair', 'c'], '--text-pair'],
        [['--text-pair', 'c'], '--text-pair'],
        [['a', '--input-format', 'jsonl'], '--input-format'],
        [['a', '--text-column', 'x'], '--text-column'],
        [['--file', 'in.csv', '--output', 'out.xlsx'], '--output'],
        [['a', '--top-k', '0'], '--top-k'],
      ] as const) {
        const run = await predict(['./model', ...args]);
        expect(run.status, args.join(' ')).to.equal(2);
        expect(run.stderr).to.contain(flag);
      }
    });
  });
});

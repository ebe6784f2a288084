import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { type EmbedOptions, TextClassifier } from '../../lib/index.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { runCli, withFolder } from './run-cli.js';

describe('bertune embed', () => {
  async function inFolder(
    work: (
      folder: string,
      embed: typeof runCli,
      expected: (texts: string[], options?: EmbedOptions) => Promise<Float32Array[]>,
    ) => Promise<void>,
  ): Promise<void> {
    await withFolder(async (folder) => {
      await writeTinyCheckpoint(join(folder, 'model'));
      await using model = await TextClassifier.load(join(folder, 'model'), { device: 'cpu' });
      await work(
        folder,
        (args, options) =>
          runCli(['embed', '--device', 'cpu', '--model', './model', ...args], { cwd: folder, ...options }),
        (texts, options) => model.embed(texts, options),
      );
    });
  }

  const parseLines = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { text: string; embedding: number[] });

  it('writes what model.embed gives, from arguments, stdin and files', async () => {
    await inFolder(async (folder, embed, expected) => {
      const texts = ['the day was good', 'bad'];
      const given = await embed(texts);
      expect(given, given.stderr).to.include({ status: 0, stderr: '' });
      expect(parseLines(given.stdout).map(({ text }) => text)).to.deep.equal(texts);
      const rows = (text: string) => parseLines(text).map(({ embedding }) => Float32Array.from(embedding));
      expect(rows(given.stdout)).to.deep.equal(await expected(texts));

      const piped = await embed(['--pooling', 'first', '--normalize'], { input: `${texts.join('\n')}\n` });
      expect(rows(piped.stdout)).to.deep.equal(await expected(texts, { pooling: 'first', normalize: true }));

      await writeFile(join(folder, 'in.csv'), `id,text\n7,${texts[0]}\n8,${texts[1]}\n`);
      const file = await embed(['--file', 'in.csv', '--no-text', '--output', 'out.jsonl']);
      expect(file, file.stderr).to.deep.equal({ status: 0, stdout: '', stderr: 'wrote 2 rows to out.jsonl\n' });
      const lines = await readFile(join(folder, 'out.jsonl'), 'utf8');
      expect(rows(lines)).to.deep.equal(await expected(texts));
      expect(parseLines(lines).map((line) => Object.keys(line))).to.deep.equal([
        ['id', 'embedding'],
        ['id', 'embedding'],
      ]);
    });
  });

  it('writes an array for numpy', async () => {
    await inFolder(async (folder, embed, expected) => {
      const texts = Array.from({ length: 600 }, (_, i) => `good ${i % 7}`);
      const run = await embed(['--output', 'out.npy'], { input: texts.join('\n') });
      expect(run.status, run.stderr).to.equal(0);
      const bytes = await readFile(join(folder, 'out.npy'));
      const rows = await expected(texts);
      expect(bytes.subarray(0, 10).toString('latin1')).to.equal('\x93NUMPY\x01\x00\x76\x00');
      expect(bytes.subarray(10, 128).toString()).to.match(
        new RegExp(`^\\{'descr': '<f4', 'fortran_order': False, 'shape': \\(600, ${rows[0]!.length}\\), \\} *\n$`),
      );
      const values = new Float32Array(Uint8Array.from(bytes.subarray(128)).buffer);
      expect(values.length).to.equal(600 * rows[0]!.length);
      // The command embeds some at a time, which changes last bits.
      for (const [i, row] of rows.entries())
        for (const [c, value] of row.entries()) expect(values[i * row.length + c]).to.be.closeTo(value, 1e-5);
    });
  });

  it('refuses what it cannot do, as predict does', async () => {
    await inFolder(async (_folder, embed) => {
      const odd = await embed(['good', '--output', 'out.csv']);
      expect(odd.stderr).to.match(/^error \[INVALID_OPTION\]: .* \.jsonl, \.ndjson, \.npy for --output .*"out\.csv"/);
      const mixed = await embed(['--input-format', 'jsonl'], { input: '"good"\n["good", "bad"]\n' });
      expect(mixed.stderr).to.match(
        /^error \[INVALID_DATA\]: .*a single text, as in .*line 1, but found a pair in .*line 2/,
      );
    });
  });
});

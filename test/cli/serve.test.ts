import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { inRepository, runCli, withFolder } from './run-cli.js';

const checkpoint = inRepository('test/fixtures/parity/checkpoint');
const adapter = inRepository('test/fixtures/parity/lora-final');
const model = ['--model', checkpoint];
const LABELS = ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise'];

const parseLines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('bertune predict', () => {
  it('writes a line of JSON a text', async () => {
    const run = await runCli(['predict', ...model, 'i feel great', 'a "quoted", text\nof two lines', '']);
    expect(run.status, run.stderr).to.equal(0);
    expect(run.stderr).to.equal('');
    const lines = parseLines(run.stdout);
    expect(lines.map(({ text }) => text)).to.deep.equal(['i feel great', 'a "quoted", text\nof two lines', '']);
    for (const { label, score, scores } of lines) {
      expect(Object.keys(scores)).to.deep.equal(LABELS);
      const values = Object.values<number>(scores);
      expect(values.reduce((a, b) => a + b)).to.be.closeTo(1, 1e-9);
      expect(score)
        .to.equal(Math.max(...values))
        .and.to.equal(scores[label]);
    }
  });

  it('reads stdin a line at a time and gives the same as arguments do', async () => {
    const texts = ['i feel great', 'größe', '', 'so sad'];
    const [fromArguments, fromStdin] = await Promise.all([
      runCli(['predict', ...model, ...texts]),
      runCli(['predict', ...model], { input: `${texts.slice(0, 2).join('\n')}\r\n\nso sad` }),
    ]);
    expect(fromStdin.status, fromStdin.stderr).to.equal(0);
    const expected = parseLines(fromArguments.stdout);
    // The texts were batched otherwise, so the last bits may differ.
    for (const [index, { text, label, scores }] of parseLines(fromStdin.stdout).entries()) {
      expect({ text, label }).to.deep.equal({ text: expected[index].text, label: expected[index].label });
      for (const name of LABELS) expect(scores[name]).to.be.closeTo(expected[index].scores[name], 1e-6);
    }
    expect(fromStdin.stdout.split('\n')).to.have.lengthOf(texts.length + 1);
    const bare = await runCli(['predict', ...model, '--no-text'], { input: 'x\n' });
    expect(parseLines(bare.stdout)[0]).to.have.all.keys('label', 'score', 'scores');
    expect(await runCli(['predict', ...model])).to.include({ status: 0, stdout: '' });
  });

  it('answers a slow writer before the end of stdin', async () => {
    let answers = 0;
    const run = await runCli(['predict', ...model], {
      during: (child) => {
        child.stdin.write('one\n');
        child.stdout.on('data', () => {
          answers += 1;
          if (answers === 1) child.stdin.write('two\n');
          else child.stdin.end();
        });
      },
    });
    expect(run.status, run.stderr).to.equal(0);
    expect(parseLines(run.stdout).map(({ text }) => text)).to.deep.equal(['one', 'two']);
  });

  it('streams more texts than fit a batch, in their order', async () => {
    const texts = Array.from({ length: 1500 }, (_, index) => `text number ${index}`);
    const run = await runCli(['predict', ...model], { input: texts.join('\n') });
    expect(run.status, run.stderr).to.equal(0);
    expect(parseLines(run.stdout).map(({ text }) => text)).to.deep.equal(texts);
  });

  it('names the line of stdin that is not UTF-8', async () => {
    const input = Buffer.concat([Buffer.from('fine\n'), Buffer.from([0xc3, 0x28, 0x0a])]);
    const run = await runCli(['predict', ...model], { input });
    expect(run.status).to.equal(1);
    expect(run.stderr).to.match(/^error \[INVALID_DATA\]: .*line 2/);
  });

  it('ends quietly when its reader goes away', async () => {
    const input = 'some text\n'.repeat(20_000);
    const run = await runCli(['predict', ...model], {
      during: (child) => {
        child.stdin.end(input);
        child.stdout.once('data', () => child.stdout.destroy());
      },
    });
    expect(run).to.include({ status: 0, stderr: '' });
  });

  it('stops at Ctrl-C while it waits for stdin', async () => {
    const run = await runCli(['predict', ...model], {
      during: (child) => {
        child.stdin.write('one\n');
        child.stdout.once('data', () => child.kill('SIGINT'));
      },
    });
    expect(run.status).to.equal(130);
    expect(parseLines(run.stdout)).to.have.lengthOf(1);
  });

  it('takes an adapter with its base', async () => {
    const missing = await runCli(['predict', '--model', adapter, 'text']);
    expect(missing.status).to.equal(1);
    expect(missing.stderr).to.match(/^error \[NOT_FOUND\]: .*base/);
    const run = await runCli(['predict', '--model', adapter, '--base', checkpoint, 'i love you']);
    expect(run.status, run.stderr).to.equal(0);
    const [plain] = parseLines((await runCli(['predict', ...model, 'i love you'])).stdout);
    expect(parseLines(run.stdout)[0].scores).to.not.deep.equal(plain.scores);
  });
});

describe('bertune evaluate', () => {
  it('prints metrics, each label and the confusion matrix', async () => {
    const test = inRepository('test/fixtures/parity/test.csv');
    const run = await runCli(['evaluate', ...model, '--test-file', test]);
    expect(run).to.include({ status: 0, stderr: '' });
    // expected.json, full, before training.
    expect(run.stdout).to.match(/\n +300 +1\.8097 +0\.1333 +0\.1082 +0\.1859 +0\.1016\n/);
    for (const label of LABELS) expect(run.stdout).to.match(new RegExp(`\n${label} +0\\.`));
    expect(run.stdout).to.contain('true \\ predicted');
  });

  it('takes a split of a folder, and says when there is none', async () => {
    await withFolder(async (folder) => {
      await writeFile(join(folder, 'train.csv'), 'text,label\na,joy\nb,fear\n');
      const args = ['evaluate', ...model, '--data', folder];
      const run = await runCli([...args, '--split', 'train', '--json']);
      expect(run.status, run.stderr).to.equal(0);
      expect(JSON.parse(run.stdout)).to.include({ examples: 2 });
      const none = await runCli(args);
      expect(none).to.include({ status: 1, stdout: '' });
      expect(none.stderr).to.match(/^error \[NOT_FOUND\]: .*test/);
    });
  });

  it('refuses labels that the model does not know', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'test.csv');
      await writeFile(file, 'text,label\na,joy\nb,envy\n');
      const run = await runCli(['evaluate', ...model, '--test-file', file]);
      expect(run).to.include({ status: 1, stdout: '' });
      expect(run.stderr).to.match(/^error \[INVALID_DATA\]: .*envy/);
    });
  });
});

describe('bertune inspect', () => {
  it('shows the machine', async () => {
    const run = await runCli(['inspect']);
    expect(run).to.include({ status: 0, stderr: '' });
    expect(run.stdout)
      .to.match(/BLAS +\S/)
      .and.match(/\ncpu +.* yes\n/);
    const facts = JSON.parse((await runCli(['inspect', '--json'])).stdout);
    expect(facts).to.include.keys('bertune', 'addon', 'node', 'processor', 'threads', 'blas', 'devices');
    expect(facts.devices[0]).to.include({ device: 'cpu', available: true });
    const forced = await runCli(['inspect'], { environment: { OPENBLAS_CORETYPE: 'Haswell' } });
    expect(forced.stdout).to.contain('OPENBLAS_CORETYPE=Haswell');
  });

  it('shows what a checkpoint holds', async () => {
    const run = await runCli(['inspect', checkpoint]);
    expect(run).to.include({ status: 0, stderr: '' });
    expect(run.stdout).to.contain('4 layers, 256 hidden, 4 heads').and.contain(LABELS.join(', '));
    const facts = JSON.parse((await runCli(['inspect', checkpoint, '--json', '--tensors'])).stdout);
    expect(facts).to.include({ kind: 'checkpoint', parameters: 5_455_622, head: 'classifier', tensor_count: 73 });
    expect(facts.labels).to.deep.equal(LABELS);
    expect(facts.tensors).to.deep.include({ name: 'classifier.bias', dtype: 'F16', shape: [6] });
    const embedded = JSON.parse((await runCli(['inspect', 'bert-mini', '--json'])).stdout);
    expect(embedded).to.include({ parameters: 5_454_080, head: null });
    expect(embedded.dtypes).to.have.all.keys('F16');
  });

  it('shows what an adapter holds', async () => {
    const run = await runCli(['inspect', adapter, '--tensors']);
    expect(run).to.include({ status: 0, stderr: '' });
    expect(run.stdout)
      .to.match(/kind +LoRA adapter\n/)
      .and.match(/rank +8\n/)
      .and.contain('256 × 8');
    const prefix = inRepository('test/fixtures/parity/prefix-final');
    const facts = JSON.parse((await runCli(['inspect', prefix, '--json'])).stdout);
    expect(facts).to.include({ kind: 'prefix', virtual_tokens: 6, projection: false, parameters: 13_830 });
  });
});

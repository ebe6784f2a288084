import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { LONG } from '../faults/scale.js';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { inRepository, onceItSays, runCli, withFolder } from './run-cli.js';

const parity = (name: string) => inRepository(`test/fixtures/parity/${name}`);
const model = ['--model', parity('checkpoint')];
const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

/** What `expected.json` holds of a run. */
interface ExpectedRun {
  learning_rate: number;
  trainable: number;
  after: Record<'loss' | 'accuracy' | 'precision' | 'recall' | 'f1_macro', number>;
  loss: number[];
  grad_norm: number[];
  lr: number[];
}

/** Sixteen short texts of two labels, train and test alike. */
async function writeData(folder: string): Promise<string[]> {
  const rows = ['i love it,good', 'what a great day,good', 'so sad,bad', '"this is awful, really",bad'];
  const file = join(folder, 'data.csv');
  await writeFile(file, `text,label\n${`${rows.join('\n')}\n`.repeat(4)}`);
  return ['--train-file', file, '--test-file', file];
}

describe('bertune train', function () {
  this.timeout(240_000);

  // Every method is held to it in test/model/parity.test.ts.
  for (const [method, args] of (
    [
      ['lora', ['--adapter', parity('lora-init')]],
      ['full', []],
      ['prefix', ['--adapter', parity('prefix-init')]],
    ] as const
  ).slice(0, LONG ? 3 : 1)) {
    it(`logs what Hugging Face's Trainer logs: ${method}`, async () => {
      const expected: ExpectedRun = (await readJson(parity('expected.json'))).runs[method];
      await withFolder(async (folder) => {
        const output = join(folder, 'out');
        const run = await runCli([
          ...['train', ...model, '--train-file', parity('train.csv'), '--test-file', parity('test.csv')],
          ...['--method', method, ...args, '--learning-rate', String(expected.learning_rate), '--epochs', '2'],
          ...['--logging-steps', '1', '--output', output, '--quiet', '--no-texts'],
        ]);
        expect(run).to.include({ status: 0, stderr: '' });
        const { log_history, global_step } = await readJson(output, 'trainer_state.json');
        expect(global_step).to.equal(expected.loss.length);
        const steps = log_history.filter((row: object) => 'loss' in row);
        expect(steps).to.have.lengthOf(expected.loss.length);
        for (const [index, row] of steps.entries()) {
          expect(row.step).to.equal(index + 1);
          expect(row.loss, `loss of step ${row.step}`).to.be.closeTo(expected.loss[index] as number, 1e-5);
          const norm = expected.grad_norm[index] as number;
          expect(row.grad_norm, `gradient norm of step ${row.step}`).to.be.closeTo(norm, 1e-4 * norm);
          expect(row.learning_rate, `learning rate of step ${row.step}`).to.be.closeTo(
            expected.lr[index] as number,
            1e-12,
          );
        }
        const results = await readJson(output, 'results.json');
        expect(results.parameters.trainable).to.equal(expected.trainable);
        expect(results.test).to.not.have.property('mistakes');
        expect(results.test.loss).to.be.closeTo(expected.after.loss, 1e-5);
        for (const metric of ['accuracy', 'precision', 'recall', 'f1_macro'] as const) {
          expect(results.test[metric], metric).to.be.closeTo(expected.after[metric], 1e-9);
        }
      });
    });
  }

  it('leaves a checkpoint that evaluates and predicts as the run said, and keeps stdout for results', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      const data = await writeData(folder);
      const args = ['train', ...model, ...data, '--validation-file', data[1] as string, '--output', output];
      const run = await runCli([...args, '--max-steps', '4', '--batch-size', '8', '--logging-steps', '1']);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stdout).to.match(/^full\n[\d,]+ of [\d,]+ parameters trained \(100 %\)\n/);
      expect(run.stdout).to.contain('Training Loss').and.contain('Test\n').and.contain('By label');
      expect(run.stderr).to.match(/learning rate +3e-4 \(default for full at hidden size \d+\), linear\n/);
      expect(run.stderr).to.match(/device +cpu fp32, \d+ thread/);
      expect(run.stderr).to.match(/steps +4: 2 epochs of 2, 8 examples each\n/);
      expect(run.stderr).to.not.contain('classifier is new');
      expect(run.stderr.match(/ {2}loss \d/g)).to.have.lengthOf(4);
      expect(run.stderr.match(/validation loss \d/g)).to.have.lengthOf(2);
      expect(run.stderr).to.not.contain('\x1b').and.not.contain('\r');

      expect((await readdir(output)).sort()).to.include.members([
        ...['config.json', 'model.safetensors', 'report.html', 'results.json', 'tokenizer.json', 'trainer_state.json'],
      ]);
      const results = await readJson(output, 'results.json');
      expect(results).to.include({ status: 'done', steps: 4, epochs: 2 });
      expect(results.method).to.deep.equal({ kind: 'full', freeze: [] });
      expect(results.settings).to.include({
        batch_size: 8,
        max_steps: 4,
        seed: 42,
        learning_rate: 3e-4,
        epochs: 2,
        warmup_steps: 0,
      });
      expect(results.data).to.deep.include({
        labels: ['bad', 'good'],
        splits: { train: 16, validation: 16, test: 16 },
      });
      const wrong = Math.round(16 * (1 - results.test.accuracy));
      expect(results.test.mistakes).to.have.lengthOf(wrong);
      const page = await readFile(join(output, 'report.html'), 'utf8');
      for (const { text } of results.test.mistakes) expect(page).to.contain(text);
      expect(results.memory.peak).to.be.greaterThan(results.memory.model);
      expect(results.memory.process_peak).to.be.greaterThan(results.memory.peak);
      expect(results.environment).to.include.keys('bertune', 'node', 'processor', 'blas', 'threads');
      expect(results.log_history).to.deep.equal((await readJson(output, 'trainer_state.json')).log_history);

      const evaluated = await runCli(['evaluate', '--model', output, '--test-file', data[1] as string, '--json']);
      expect(evaluated.status, evaluated.stderr).to.equal(0);
      const metrics = JSON.parse(evaluated.stdout);
      for (const key of ['examples', 'loss', 'accuracy', 'precision', 'recall', 'f1_macro', 'labels', 'confusion']) {
        expect(metrics[key], key).to.deep.equal(results.test[key]);
      }

      const refused = await runCli([...args, '--max-steps', '1']);
      expect(refused).to.include({ status: 1, stdout: '' });
      expect(refused.stderr).to.match(/^error \[OUTPUT_REFUSED\]/);
      const written = await runCli([...args, '--max-steps', '1', '--overwrite', '--json', '--quiet']);
      expect(written).to.include({ status: 0, stderr: '' });
      expect(JSON.parse(written.stdout)).to.include({ status: 'done', steps: 1 });
      expect((await readJson(output, 'results.json')).steps).to.equal(1);
    });
  });

  it('says what a run is like where nothing is said, and what to do next where the loss ran away', async () => {
    await withFolder(async (folder) => {
      await writeTinyCheckpoint(join(folder, 'model'));
      const args = ['train', '--model', join(folder, 'model'), ...(await writeData(folder)), '--batch-size', '4'];
      const run = await runCli([...args, '--method', 'lora', '--output', join(folder, 'out')]);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr).to.match(/steps +400: 100 epochs of 4 \(default: at most 100 epochs\), 4 examples each\n/);
      expect(run.stderr).to.match(
        /learning rate +1.6e-3 \(default for lora at hidden size \d+\), linear, 40 steps of warm-up\n/,
      );
      const { settings } = await readJson(folder, 'out', 'results.json');
      expect(settings).to.include({ epochs: 100, warmup_steps: 40, logging_steps: 8, learning_rate: 1.6e-3 });
      expect((await readJson(folder, 'out', 'trainer_state.json')).logging_steps).to.equal(8);

      // Whatever the weights become, half of these texts contradict the others.
      const file = join(folder, 'contradictory.csv');
      await writeFile(file, `text,label\n${'i love it,good\ni love it,bad\nso sad,good\nso sad,bad\n'.repeat(4)}`);
      const far = ['--train-file', file, '--learning-rate', '10', '--epochs', '3', '--output', join(folder, 'far')];
      const diverged = await runCli([...args, ...far]);
      expect(diverged.stderr).to.match(
        /\nsaved in .*\nadvice: The training diverged: .* \(--learning-rate 3e-4\)\.\n$/,
      );
      const { advice } = await readJson(folder, 'far', 'results.json');
      expect(advice).to.have.lengthOf(1);
      expect(await readFile(join(folder, 'far', 'report.html'), 'utf8')).to.contain(`<li>${advice[0]}</li>`);
    });
  });

  it('names the classes that weights are of, and says how often it saves', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      const args = ['train', ...model, ...(await writeData(folder)), '--output', output, '--max-steps', '1'];
      const saving = ['--save-strategy', 'steps', '--save-steps', '13'];
      const run = await runCli([...args, ...saving, '--class-weights', '2,0.5']);
      expect(run.status, run.stderr).to.equal(0);
      expect(run.stderr).to.match(/class weights +bad 2, good 0\.5\n/);
      expect((await readJson(output, 'results.json')).settings.class_weights).to.deep.equal({ bad: 2, good: 0.5 });
      expect((await readJson(output, 'trainer_state.json')).save_steps).to.equal(13);
      const balanced = await runCli([...args, '--overwrite', '--class-weights', 'balanced']);
      expect(balanced.stderr).to.match(/class weights +bad [\d.]+, good [\d.]+\n/);
      expect((await readJson(output, 'results.json')).settings.class_weights).to.equal('balanced');
    });
  });

  it('refuses what is in the place of its files before it trains', async () => {
    await withFolder(async (folder) => {
      await writeTinyCheckpoint(join(folder, 'model'), { classifier: false });
      await writeTinyCheckpoint(join(folder, 'bare'), { classifier: false, pooler: false });
      const data = await writeData(folder);
      const output = join(folder, 'out');
      const train = (model: string, method: string) =>
        runCli([
          ...['train', '--model', join(folder, model), ...data, '--epochs', '1', '--device', 'cpu'],
          ...['--method', method, '--output', output, '--overwrite'],
        ]);
      for (const name of ['config.json', 'adapter_config.json', 'trainer_state.json', 'report.html']) {
        await mkdir(join(output, name), { recursive: true });
        const run = await train('model', 'linear');
        expect(run.status, name).to.equal(1);
        expect(run.stderr)
          .to.match(/^error \[OUTPUT_REFUSED\]: .*found a directory there$/m)
          .and.contain(name);
        expect(run.stderr).to.not.contain('loss');
        expect(await readdir(output)).to.deep.equal([name]);
        await rm(output, { recursive: true });
      }
      await mkdir(output);
      await symlink('nowhere', join(output, 'base'));
      const run = await train('bare', 'lora');
      expect(run.status).to.equal(1);
      expect(run.stderr)
        .to.match(/^error \[OUTPUT_REFUSED\]: .*it is a link/m)
        .and.contain(join(output, 'base'));
      expect(run.stderr).to.not.contain('loss');
      expect((await train('model', 'lora')).status).to.equal(0);
    });
  });

  it('leaves an adapter that can be gone on with', async () => {
    await withFolder(async (folder) => {
      const [first, second] = [join(folder, 'first'), join(folder, 'second')];
      const args = [...(await writeData(folder)), '--max-steps', '1', '--quiet', '--json'];
      const run = await runCli(['train', ...model, '--method', 'lora', '--rank', '2', ...args, '--output', first]);
      expect(run.status, run.stderr).to.equal(0);
      expect((await readdir(first)).sort()).to.include.members(['adapter_config.json', 'adapter_model.safetensors']);
      expect(await readdir(first)).to.not.include('model.safetensors');
      const more = await runCli(['train', '--model', first, ...args, '--output', second]);
      expect(more.status, more.stderr).to.equal(0);
      expect(JSON.parse(more.stdout).method).to.include({ kind: 'lora', rank: 2, alpha: 8 });
      const { base_model_name_or_path: base } = await readJson(second, 'adapter_config.json');
      expect(base).to.match(/^\.\.\//);
      expect(resolve(second, base)).to.equal(parity('checkpoint'));
    });
  });

  it('keeps the order of the labels that the model knows', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      const file = join(folder, 'some.csv');
      await writeFile(file, 'text,label\nso good,joy\nso bad,anger\n');
      const run = await runCli([
        'train',
        ...model,
        '--train-file',
        file,
        '--max-steps',
        '1',
        '--output',
        output,
        '--json',
      ]);
      expect(run.status, run.stderr).to.equal(0);
      const { data } = await readJson(output, 'results.json');
      expect(data.labels).to.deep.equal(['anger', 'joy']);
      const { id2label } = await readJson(output, 'config.json');
      expect(Object.values(id2label)).to.deep.equal(['sadness', 'joy', 'love', 'anger', 'fear', 'surprise']);
      expect(run.stderr).to.contain("in the model's order: sadness, joy, love, anger, fear, surprise");
      expect(run.stderr).to.not.contain('classifier is new');
    });
  });

  it('stops at a loss that is no number, and saves the last good state', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      const args = ['--learning-rate', '1e30', '--max-grad-norm', '0', '--batch-size', '4', '--output', output];
      const run = await runCli(['train', ...model, ...(await writeData(folder)), ...args]);
      expect(run).to.include({ status: 1, stdout: '' });
      expect(run.stderr).to.match(/error \[NON_FINITE_LOSS\]: .*step \d+/);
      const results = await readJson(output, 'results.json');
      expect(results.status).to.equal('failed');
      expect(results.error.code).to.equal('NON_FINITE_LOSS');
      expect(results.steps).to.be.greaterThan(0);
      expect(run.stderr).to.contain(`the model as it was after step ${results.steps} is saved in ${output}`);
      expect(await readdir(output)).to.include.members(['model.safetensors', 'trainer_state.json']);
    });
  });

  it('saves no model whose last step left no numbers', async () => {
    await withFolder(async (folder) => {
      const args = ['--max-steps', '1', '--learning-rate', '1e38', '--schedule', 'constant'];
      for (const [name, saving] of Object.entries({
        end: [],
        way: ['--save-strategy', 'steps', '--save-steps', '1'],
      })) {
        const output = join(folder, name);
        const all = ['train', ...model, ...(await writeData(folder)), ...args, ...saving, '--output', output];
        const run = await runCli(all);
        expect(run).to.include({ status: 1, stdout: '' });
        expect(run.stderr).to.match(/error \[NON_FINITE_LOSS\]: Element \d+ of \S+ is NaN: training diverged/);
        expect(run.stderr).to.not.contain('is saved in');
        const kept = ['report.html', 'results.json', ...(name === 'way' ? ['training_rows.json'] : [])];
        expect((await readdir(output)).sort()).to.deep.equal(kept);
        expect((await readJson(output, 'results.json')).status).to.equal('failed');
      }
    });
  });

  it('stops at Ctrl-C with status 130, and saves what it has', async () => {
    await withFolder(async (folder) => {
      const output = join(folder, 'out');
      const args = [...(await writeData(folder)), '--epochs', '100000', '--logging-steps', '1', '--output', output];
      const run = await runCli(['train', ...model, ...args], {
        during: (child) => onceItSays(child, /step 3 /, () => child.kill('SIGINT')),
      });
      expect(run).to.include({ status: 130, stdout: '' });
      expect(run.stderr).to.match(/^stopping$/m);
      expect(run.stderr).to.match(/the model as it was after step \d+ is saved in /);
      const results = await readJson(output, 'results.json');
      expect(results.status).to.equal('stopped');
      expect(results.steps).to.be.at.least(3);
      expect((await readJson(output, 'trainer_state.json')).global_step).to.equal(results.steps);
      const evaluated = await runCli(['evaluate', '--model', output, '--test-file', args[1] as string]);
      expect(evaluated.status, evaluated.stderr).to.equal(0);
    });
  });
});

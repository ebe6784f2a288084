import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { loadDataset, type Split } from '../../lib/data/dataset.js';
import { lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { Device, DeviceOptions } from '../../lib/model/device.js';
import type { LogRow } from '../../lib/training/state.js';
import { runCli } from '../cli/run-cli.js';
import { devices } from '../devices.js';
import { fixture, useTemporaryDirectory } from '../lib/files.js';

/** One run of expected.json: what Hugging Face's Trainer logged at each step, and the logits afterwards. */
interface ExpectedRun {
  learning_rate: number;
  loss: number[];
  grad_norm: number[];
  after: number[][];
  trainable: number;
}

interface ExpectedCase {
  task: 'single' | 'multi' | 'score';
  targets: string[];
  first_ids: number[][];
  before: number[][];
  runs: Record<'full' | 'lora', ExpectedRun>;
}

interface Expected {
  seed: number;
  epochs: number;
  batch_size: number;
  weight_decay: number;
  cases: Record<string, ExpectedCase>;
}

const family = (...parts: string[]) => fixture('families', ...parts);
const read = (name: string) => readFile(family(name), 'utf8').then(JSON.parse);

const NAMES = ['roberta', 'xlm-roberta', 'camembert', 'distilbert', 'electra', 'bert-multi', 'bert-score'] as const;
const RANK = 4;
const ALPHA = 12;

/** NUMERICS.md's tolerances. */
const LOSS = 1e-5;
const NORM = 1e-4;
const LOGITS = 1e-4;

const FILES = { single: 'single.csv', multi: 'multi.jsonl', score: 'score.csv' } as const;
const LABEL_COLUMNS = { single: 'label', multi: 'labels', score: 'score' } as const;

interface Place {
  title: string;
  options: DeviceOptions;
  /** The emulator takes a second for each. */
  steps: number | undefined;
}

function places(): Place[] {
  return devices().map(({ device: found }) => {
    const device = found as Device;
    if (device === 'cpu') return { title: 'cpu', options: { device, threads: 2 }, steps: undefined };
    const steps = device === 'cuda' ? undefined : 1;
    return { title: device, options: { device, precision: 'fp32' as const }, steps };
  });
}

function expectLogits(found: ArrayLike<number>, expected: readonly number[][]): void {
  const flat = expected.flat();
  expect(found).to.have.length(flat.length);
  flat.forEach((value, i) => {
    expect(found[i], `logit ${i}`).to.be.closeTo(value, LOGITS * Math.max(1, Math.abs(value)));
  });
}

function expectSteps(rows: readonly Pick<LogRow, 'loss' | 'grad_norm'>[], { loss, grad_norm }: ExpectedRun): void {
  expect(rows.length).to.be.above(0);
  for (const [step, row] of rows.entries()) {
    // Trainer rounds neither; both are fp32.
    expect(row.loss, `loss of step ${step + 1}`).to.be.closeTo(loss[step]!, LOSS * Math.max(1, loss[step]!));
    expect(row.grad_norm, `norm of step ${step + 1}`).to.be.closeTo(grad_norm[step]!, NORM * grad_norm[step]!);
  }
}

describe('families of encoders and tasks', function () {
  this.timeout(600_000);
  const directory = useTemporaryDirectory();
  let expected: Expected;
  let texts: string[];
  before(async () => {
    expected = await read('expected.json');
    texts = JSON.parse(await readFile(family('data', 'texts.json'), 'utf8'));
  });

  /** @param labels in the order of the model's rows */
  async function trainingData(name: string, labels?: readonly string[]): Promise<Split> {
    const { task } = expected.cases[name]!;
    const column = LABEL_COLUMNS[task];
    const kind = { single: 'single-label', multi: 'multi-label', score: 'regression' } as const;
    const data = await loadDataset(family('data', FILES[task]), {
      labelColumn: column,
      task: kind[task],
      ...(task !== 'score' && labels && { labels }),
    });
    return data.train!;
  }

  for (const name of NAMES) {
    describe(name, () => {
      for (const { title, options, steps } of places()) {
        for (const method of ['full', 'lora'] as const) {
          it(`is what transformers and PEFT compute under ${method} on ${title}, step by step`, async () => {
            const { runs, targets, before: logits } = expected.cases[name]!;
            const adapter = method === 'lora' ? { adapter: family('lora', name) } : {};
            await using classifier = await TextClassifier.load(family('bases', name), { ...options, ...adapter });
            const train = await trainingData(name, classifier.labels);
            if (method === 'full' && steps === undefined) expectLogits((await classifier.logits(texts)).logits, logits);
            const chosen = method === 'lora' ? { method: lora({ rank: RANK, alpha: ALPHA, dropout: 0, targets }) } : {};
            const trainer = new Trainer(classifier, {
              ...chosen,
              ...(steps === undefined ? { epochs: expected.epochs } : { maxSteps: steps }),
              learningRate: runs[method].learning_rate,
              schedule: steps === undefined ? 'linear' : 'constant',
              batchSize: expected.batch_size,
              weightDecay: expected.weight_decay,
              seed: expected.seed,
              loggingSteps: 1,
            });
            const rows: LogRow[] = [];
            trainer.on('log', (row) => rows.push(row));
            await trainer.train(train);
            expect(classifier.countParameters().trainable).to.equal(runs[method].trainable);
            expectSteps(rows, runs[method]);
            if (steps === undefined) expectLogits((await classifier.logits(texts)).logits, runs[method].after);
          });
        }
      }

      it('gives the token ids of its tokenizer', async () => {
        const { first_ids } = expected.cases[name]!;
        await using classifier = await TextClassifier.load(family('bases', name), { device: 'cpu' });
        const { ids, offsets } = await classifier.tokenizer.encodeTexts(texts.slice(0, 12), classifier.maxLength);
        const found = first_ids.map((_, i) => [...ids.subarray(offsets[i], offsets[i + 1])]);
        expect(found).to.deep.equal(first_ids);
      });

      it('trains alike by the command line', async () => {
        const { runs, task } = expected.cases[name]!;
        const output = directory.path('out');
        const file = family('data', FILES[task]);
        const { status, stderr } = await runCli([
          ...['train', '--model', family('bases', name), '--train-file', file, '--output', output, '--no-holdout'],
          ...['--label-column', LABEL_COLUMNS[task], '--device', 'cpu', '--threads', '2', '--logging-steps', '1'],
          ...['--epochs', `${expected.epochs}`, '--batch-size', `${expected.batch_size}`, '--seed', `${expected.seed}`],
          ...['--learning-rate', `${runs.full.learning_rate}`, '--weight-decay', `${expected.weight_decay}`],
        ]);
        expect(status, stderr).to.equal(0);
        const { log_history } = JSON.parse(await readFile(join(output, 'trainer_state.json'), 'utf8'));
        expectSteps(
          log_history.filter((row: object) => 'grad_norm' in row),
          runs.full,
        );
        await using saved = await TextClassifier.load(output, { device: 'cpu' });
        expectLogits((await saved.logits(texts)).logits, runs.full.after);
      });
    });
  }
});

import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { loadDataset, type Split } from '../../lib/data/dataset.js';
import type { BertuneError } from '../../lib/errors.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { Device, DeviceOptions } from '../../lib/model/device.js';
import type { LogRow } from '../../lib/training/state.js';
import { devices } from '../devices.js';
import { LONG } from '../faults/scale.js';
import { fixture } from '../lib/files.js';

type Metrics = Record<'loss' | 'accuracy' | 'precision' | 'recall' | 'f1_macro', number>;

/** One run of expected.json: what Hugging Face's Trainer logged at each step, and measured around them. */
interface ExpectedRun {
  learning_rate: number;
  trainable: number;
  before: Metrics;
  after: Metrics;
  loss: number[];
  grad_norm: number[];
  lr: number[];
  logits_after_first8: number[][];
}

interface Expected {
  seed: number;
  epochs: number;
  batch_size: number;
  weight_decay: number;
  max_grad_norm: number;
  lr_scheduler: 'linear';
  labels: string[];
  runs: Record<'full' | 'lora' | 'prefix', ExpectedRun>;
}

const parity = (name: string) => fixture('parity', name);

/** Steps of a run. */
const ALL = 126;

interface Place {
  title: string;
  options: DeviceOptions;
  steps: number;
}

/** Where the runs are repeated, and how many steps of them: the emulator takes many seconds for each. */
function places(): Place[] {
  const here = devices().filter(({ device }) => LONG || device !== 'cuda-emulated');
  return here.map(({ device: name }): Place => {
    const device = name as Device;
    // Other numbers of threads are the matter of goldens.test.ts.
    if (device === 'cpu') return { title: 'cpu', options: { device, threads: 2 }, steps: ALL };
    const steps = device === 'cuda' ? ALL : 2;
    return { title: `${device}, ${steps} steps`, options: { device, precision: 'fp32' as const }, steps };
  });
}

/** Only rounding may tell the runs apart. The loss is a mean of 300 rounded ones; the other metrics are counts. */
const TOLERANCE = { loss: 1e-5, gradNorm: 1e-4, logits: 1e-4, metrics: 1e-12 };

describe('the parity runs', function () {
  this.timeout(240_000);
  let expected: Expected;
  let train: Split;
  let test: Split;

  before(async () => {
    expected = JSON.parse(await readFile(parity('expected.json'), 'utf8'));
    const data = await loadDataset(
      { train: parity('train.csv'), test: parity('test.csv') },
      { labels: expected.labels },
    );
    train = data.train!;
    test = data.test!;
    expect([train.texts.length, test.texts.length]).to.deep.equal([1000, 300]);
  });

  function expectMetrics(actual: Metrics, wanted: Metrics, when: string): void {
    expect(actual.loss, `loss ${when} training`).to.be.closeTo(wanted.loss, TOLERANCE.loss);
    for (const name of ['accuracy', 'precision', 'recall', 'f1_macro'] as const) {
      expect(actual[name], `${name} ${when} training`).to.be.closeTo(wanted[name], TOLERANCE.metrics);
    }
  }

  for (const method of ['full', 'lora', 'prefix'] as const) {
    for (const { title, options, steps } of places()) {
      it(`are those of Hugging Face's Trainer, step by step: ${method}, ${title}`, async () => {
        const run = expected.runs[method];
        const adapter = method === 'full' ? {} : { adapter: parity(`${method}-init`) };
        await using model = await TextClassifier.load(parity('checkpoint'), { ...options, ...adapter });
        const trainer = new Trainer(model, {
          learningRate: run.learning_rate,
          epochs: expected.epochs,
          batchSize: expected.batch_size,
          weightDecay: expected.weight_decay,
          maxGradNorm: expected.max_grad_norm,
          schedule: expected.lr_scheduler,
          seed: expected.seed,
          loggingSteps: 1,
        });
        expect(trainer.settings.method.kind).to.equal(method);
        if (steps === ALL) expectMetrics(await trainer.evaluate(test), run.before, 'before');

        const rows: LogRow[] = [];
        const stop = new AbortController();
        trainer.on('log', (row) => {
          if (rows.push(row) === steps) stop.abort();
        });
        const result = await trainer.train(train, { signal: stop.signal }).catch((error: BertuneError) => {
          if (steps === ALL || error.code !== 'ABORTED') throw error;
        });
        expect(run.loss).to.have.lengthOf(ALL);
        expect(rows.length).to.be.at.least(steps);
        for (const [i, row] of rows.entries()) {
          expect(row.step).to.equal(i + 1);
          expect(row.loss, `loss of step ${row.step}`).to.be.closeTo(run.loss[i]!, TOLERANCE.loss);
          const relative = Math.abs(row.grad_norm - run.grad_norm[i]!) / run.grad_norm[i]!;
          expect(relative, `gradient norm of step ${row.step}`).to.be.at.most(TOLERANCE.gradNorm);
          expect(row.learning_rate, `learning rate of step ${row.step}`).to.equal(run.lr[i]);
        }

        if (!result) return;
        expect(rows).to.have.lengthOf(ALL);
        expect(result.trainableParameters).to.equal(run.trainable);
        expectMetrics(await trainer.evaluate(test), run.after, 'after');
        const { logits } = await model.logits(test.texts.slice(0, 8));
        const wanted = run.logits_after_first8.flat();
        expect(logits).to.have.lengthOf(wanted.length);
        wanted.forEach((value, i) => {
          expect(logits[i], `logit ${i}`).to.be.closeTo(value, TOLERANCE.logits);
        });
      });
    }
  }
});

import { readFileSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import type { Split } from '../../lib/data/dataset.js';
import { full, lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { fixture, useTemporaryDirectory } from '../lib/files.js';

interface Run {
  losses: number[];
  norms: number[];
  logits_after: number[][];
  word_sums?: number[];
}

interface Fixture {
  texts: string[];
  labels: number[];
  training: { lr: number; weight_decay: number; layerwise_decay: number; ratio: number };
  runs: Record<'layerwise' | 'lora_plus', Run>;
}

const { texts, labels, training, runs } = JSON.parse(readFileSync(fixture('rates.json'), 'utf8')) as Fixture;

/** In double, as the reference: what is between them is rounding. */
const CLOSE = 1e-8;

describe('learning rates of their own', () => {
  const directory = useTemporaryDirectory();
  const base = () => directory.path('base');

  beforeEach(async () => {
    await cp(fixture('checkpoints', 'plain'), base(), { recursive: true });
    for (const name of ['tokenizer.json', 'tokenizer_config.json'])
      await cp(fixture('interop', 'full', name), join(base(), name));
    // The reference trains without dropout.
    const config = JSON.parse(await readFile(join(base(), 'config.json'), 'utf8'));
    const dropout = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };
    await writeFile(join(base(), 'config.json'), JSON.stringify({ ...config, ...dropout }));
  });

  const load = (source = base()) =>
    TextClassifier.load(source, {
      ...{ device: 'cpu', threads: 1, precision: 'fp64' },
      ...(source !== base() && { base: base() }),
    });

  async function train(model: TextClassifier, options: TrainerOptions, stopAt?: number) {
    const split = {
      ...{ name: 'train', task: 'single-label', texts, labels: Int32Array.from(labels) },
      ...{ labelNames: model.labels, source: 'memory' },
    } as Split;
    const trainer = new Trainer(model, {
      ...{ learningRate: training.lr, weightDecay: training.weight_decay, schedule: 'constant', loggingSteps: 1 },
      ...{ batchSize: texts.length, maxSteps: runs.layerwise.losses.length, ...options },
    });
    const losses: number[] = [];
    const norms: number[] = [];
    trainer.on('log', (row) => {
      losses.push(row.loss);
      norms.push(row.grad_norm);
    });
    const stopWhen = ({ step }: { step: number }) => step === stopAt;
    await trainer.train(
      split,
      options.outputDirectory && stopAt === undefined ? { resume: options.outputDirectory } : { stopWhen },
    );
    return { losses, norms };
  }

  async function expectRun(model: TextClassifier, found: Pick<Run, 'losses' | 'norms'>, run: Run): Promise<void> {
    const { logits } = await model.logits(texts);
    for (const [name, values, expected] of [
      ['loss', found.losses, run.losses],
      ['norm', found.norms, run.norms],
      ['logit', [...logits], run.logits_after.flat()],
    ] as const) {
      expect(values.length).to.equal(expected.length);
      for (const [i, value] of expected.entries()) expect(values[i], `${name} ${i}`).to.be.closeTo(value, CLOSE);
    }
  }

  it('fall from the head to the embeddings as in groups of torch, also for words that are not met', async () => {
    await using model = await load();
    const options = { method: full(), layerwiseDecay: training.layerwise_decay };
    await expectRun(model, await train(model, options), runs.layerwise);
    const words = Float64Array.from(await model.session.read('bert.embeddings.word_embeddings.weight'));
    const width = model.config.hiddenSize;
    for (const [row, sum] of runs.layerwise.word_sums!.entries()) {
      const own = words.subarray(row * width, (row + 1) * width).reduce((so_far, value) => so_far + value, 0);
      expect(own, `word ${row}`).to.be.closeTo(sum, CLOSE);
    }
  });

  it("are LoRA+'s as in PEFT's optimizer", async () => {
    await using model = await load(fixture('lora-variants', 'bias-lora-only'));
    const method = lora({
      ...{ rank: 4, alpha: 12, dropout: 0, targets: ['query', 'intermediate.dense'], bias: 'lora_only' },
      loraPlusRatio: training.ratio,
    });
    await expectRun(model, await train(model, { method: method }), runs.lora_plus);
  });

  it('are kept where a run is resumed, which takes no others', async () => {
    await using model = await load();
    const options = {
      ...{ method: full(), layerwiseDecay: training.layerwise_decay },
      ...{ outputDirectory: directory.path('run'), saveStrategy: 'epoch' as const },
    };
    const before = await train(model, options, 3);
    await using again = await load();
    const after = await train(again, options);
    await expectRun(
      again,
      { losses: [...before.losses, ...after.losses], norms: [...before.norms, ...after.norms] },
      runs.layerwise,
    );
    await using other = await load();
    const refusal = await train(other, { ...options, layerwiseDecay: 0.9 }).then(
      () => expect.fail('accepted'),
      (error: Error) => error,
    );
    expect(refusal.message).to.contain('Expected 0.6 for layerwiseDecay');
  });
});

import { readdir } from 'node:fs/promises';
import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

describe('evaluation by steps', () => {
  const directory = useTemporaryDirectory();
  const [train, validation] = [tinySplit('train', 64, 1), tinySplit('validation', 30, 2)];
  // Eight steps an epoch.
  const usual: TrainerOptions = { batchSize: 8, epochs: 2, learningRate: 0.01, seed: 3, evaluationStrategy: 'steps' };
  beforeEach(() => writeTinyCheckpoint(directory.path('base')));

  async function run(options: TrainerOptions, more: { resume?: string; signal?: AbortSignal; stop?: () => void } = {}) {
    await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
    const trainer = new Trainer(model, { ...usual, ...options });
    const { stop, ...rest } = more;
    trainer.on('progress', ({ step }) => {
      if (step === 6) stop?.();
    });
    const epochs: (number | undefined)[] = [];
    trainer.on('epoch', ({ evaluation }) => epochs.push(evaluation?.loss));
    const result = await trainer.train(train, { validation, ...rest });
    const rows = result.logHistory.flatMap((row) => ('eval_loss' in row ? [row] : []));
    const classifier = await model.parameter('classifier.weight');
    return { ...result, rows, epochOf: epochs, classifier };
  }

  it('comes every so many steps, and at the end', async () => {
    const { rows, epochOf, evaluation } = await run({ evalSteps: 3 });
    expect(rows.map(({ step }) => step)).to.deep.equal([3, 6, 9, 12, 15, 16]);
    expect(epochOf).to.deep.equal([undefined, rows.at(-1)!.eval_loss]);
    expect(evaluation!.loss).to.equal(rows.at(-1)!.eval_loss);
    const { rows: whole } = await run({ evalSteps: 8 });
    expect(whole.map(({ step }) => step)).to.deep.equal([8, 16]);
    // What is evaluated between two steps changes nothing of them.
    const { rows: byEpoch } = await run({ evaluationStrategy: 'epoch' });
    expect(whole.map(({ eval_loss }) => eval_loss)).to.deep.equal(byEpoch.map(({ eval_loss }) => eval_loss));
  });

  it('finds the best step inside an epoch, puts it back, and saves it', async () => {
    const saving = { saveStrategy: 'best', outputDirectory: directory.path('out') } as const;
    const options = {
      evalSteps: 1,
      loadBestModel: true,
      metricForBest: 'loss',
      learningRate: 0.05,
      ...saving,
    } as const;
    const { rows, best, evaluation, state } = await run(options);
    const lowest = Math.min(...rows.map(({ eval_loss }) => eval_loss));
    expect(best!.metric).to.equal(lowest);
    expect(evaluation!.loss).to.equal(lowest);
    const isBest = (loss: number, i: number) => rows.slice(0, i).every((before) => before.eval_loss > loss);
    const improving = rows.filter(({ eval_loss }, i) => isBest(eval_loss, i)).map(({ step }) => step);
    const names = (await readdir(directory.path('out'))).filter((name) => name.startsWith('checkpoint-'));
    expect(names.sort()).to.deep.equal(improving.map((step) => `checkpoint-${step}`).sort());
    expect(state.best_model_checkpoint).to.contain(`checkpoint-${best!.step}`);
    await using model = await TextClassifier.load(directory.path('out', `checkpoint-${best!.step}`), { device: 'cpu' });
    expect((await model.evaluate(validation)).loss).to.be.closeTo(lowest, 1e-5);
  });

  it('is told by one label where that alone matters', async () => {
    const options = { evalSteps: 2, loadBestModel: true, labelForBest: 'Maybe', metricForBest: 'recall' } as const;
    const { best, evaluation } = await run(options);
    const own = evaluation!.metrics.perClass.find(({ label }) => label === 'maybe')!;
    expect(best!.metric).to.equal(own.recall);
    const { best: byF1, evaluation: atF1 } = await run({ ...options, metricForBest: 'f1_macro' });
    expect(byF1!.metric).to.equal(atF1!.metrics.perClass.find(({ label }) => label === 'maybe')!.f1);
    await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
    const odd = (given: TrainerOptions) => () => new Trainer(model, { loadBestModel: true, ...given });
    await expectRefusal(odd({ labelForBest: 'joy' }), 'INVALID_OPTION', 'labelForBest', 'no, maybe, yes');
    await expectRefusal(odd({ labelForBest: 'no', metricForBest: 'loss' }), 'INVALID_OPTION', 'precision, recall');
    await using values = await TextClassifier.load(directory.path('base'), {
      device: 'cpu',
      task: 'regression',
      head: 'new',
    });
    await expectRefusal(
      () => new Trainer(values, { loadBestModel: true, labelForBest: 'no' }),
      'INVALID_OPTION',
      'has no effect in regression',
    );
  });

  it('ends a run inside an epoch', async () => {
    const { stopped, steps, rows } = await run({ evalSteps: 1, earlyStoppingPatience: 2, learningRate: 0, epochs: 5 });
    expect([stopped, steps]).to.deep.equal(['early', 3]);
    expect(rows).to.have.length(3);
  });

  it('is made up for where a run was stopped before it', async () => {
    const options = { evalSteps: 6, outputDirectory: directory.path('out') };
    const whole = await run({ evalSteps: 6 });
    const controller = new AbortController();
    const stopped = run(options, { signal: controller.signal, stop: () => controller.abort() });
    await expectRefusal(stopped, 'ABORTED');
    const end = await run(options, { resume: 'latest' });
    const own = (rows: typeof end.rows) => rows.map(({ step, eval_loss }) => [step, eval_loss]);
    expect(own(end.rows)).to.deep.equal(own(whole.rows));
    expect(own(end.rows)[0]![0]).to.equal(6);
    expect(end.classifier).to.deep.equal(whole.classifier);
  });

  it('needs a validation split where the best is saved', async () => {
    await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu' });
    const saving = { saveStrategy: 'best', outputDirectory: directory.path('out') } as const;
    await expectRefusal(
      new Trainer(model, saving).train(train),
      'INVALID_OPTION',
      "saveStrategy: 'best'",
      'validation',
    );
    const never = () => new Trainer(model, { ...saving, evaluationStrategy: 'no' });
    await expectRefusal(never, 'INVALID_OPTION', "saveStrategy: 'best' needs evaluations");
    await expectRefusal(() => new Trainer(model, { evalSteps: 0 }), 'INVALID_OPTION', 'evalSteps');
  });
});

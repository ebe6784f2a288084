import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { Trainer, type TrainOptions } from '../../lib/api/trainer.js';
import type { Split } from '../../lib/data/dataset.js';
import { labelCounts } from '../../lib/data/split.js';
import { full, linear, lora, prefix } from '../../lib/methods/index.js';
import { classificationMetrics, crossEntropy } from '../../lib/metrics/single-label.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { EpochSummary } from '../../lib/training/events.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { balancedWeights } from '../../lib/training/plan.js';
import type { EvaluateRow, LogHistoryRow, LogRow } from '../../lib/training/state.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

const CPU = { device: 'cpu', threads: 2 } as const;
const FAST = { learningRate: 3e-3, batchSize: 4 } as const;

const isLog = (row: LogHistoryRow): row is LogRow => 'loss' in row;
const isEvaluation = (row: LogHistoryRow): row is EvaluateRow => 'eval_loss' in row;

/** A digest of every parameter's values. */
async function bitsOf(model: TextClassifier): Promise<Record<string, string>> {
  const bits: Record<string, string> = {};
  for (const { name } of model.parameters()) {
    const { buffer } = await model.parameter(name);
    bits[name] = createHash('sha256').update(new Uint8Array(buffer)).digest('hex');
  }
  return bits;
}

async function valuesOf(model: TextClassifier): Promise<Map<string, Float32Array | Float64Array>> {
  const values = new Map<string, Float32Array | Float64Array>();
  for (const { name } of model.parameters()) values.set(name, await model.parameter(name));
  return values;
}

describe('Trainer', () => {
  const directory = useTemporaryDirectory();
  const train = tinySplit('train', 46, 3);
  const validation = tinySplit('validation', 30, 4);
  const load = (options = {}) => TextClassifier.load(directory.path('base'), { ...CPU, ...options });

  /** Trains a fresh model and hands it to `use` with the result. */
  async function trained<T>(
    options: TrainerOptions,
    use: (run: {
      model: TextClassifier;
      trainer: Trainer;
      result: Awaited<ReturnType<Trainer['train']>>;
    }) => Promise<T> | T,
    { train: own = train, ...others }: { train?: Split } & TrainOptions = {},
  ): Promise<T> {
    await using model = await load();
    const trainer = new Trainer(model, { ...FAST, ...options });
    const result = await trainer.train(own, others);
    return await use({ model, trainer, result });
  }

  const logOf = (options: TrainerOptions) =>
    trained({ loggingSteps: 1, ...options }, ({ result }) => result.logHistory.filter(isLog));

  beforeEach(async () => {
    await writeTinyCheckpoint(directory.path('base'));
  });

  describe('learns', () => {
    for (const [name, method, learningRate] of [
      ['full', full(), 3e-3],
      ['lora', lora({ rank: 8 }), 1e-2],
      ['linear', linear(), 1e-2],
      ['prefix', prefix({ virtualTokens: 8, projection: false }), 5e-2],
    ] as const) {
      it(`under ${name}`, async () => {
        await using model = await load();
        const trainer = new Trainer(model, { method, learningRate, epochs: 30, batchSize: 8 });
        const before = await trainer.evaluate(train);
        await trainer.train(train);
        const after = await trainer.evaluate(train);
        expect(after.loss).to.be.lessThan(0.7 * before.loss);
        expect(after.accuracy).to.be.greaterThan(0.6);
      });
    }
  });

  describe('says what to do next', () => {
    it('after a loss that ran away', async () => {
      await trained({ learningRate: 30, epochs: 2 }, ({ result }) => {
        expect(result.advice).to.have.length(1);
        expect(result.advice[0]).to.match(/^The training diverged: .*lower learning rate \(learningRate: 3e-4\)\.$/);
      });
    });

    it('after one that is still falling, of the validation split where there is one', async () => {
      for (const [splits, word] of [
        [{}, 'training'],
        [{ validation: train }, 'validation'],
      ] as const) {
        const options = { learningRate: 5e-4, epochs: 5, schedule: 'constant' } as const;
        await trained(
          options,
          ({ result }) => {
            expect(result.advice.join()).to.match(new RegExp(`^The ${word} loss is still falling.*leave out epochs`));
            expect(result.evaluation?.examples).to.equal(word === 'training' ? undefined : 46);
          },
          splits,
        );
      }
    });

    it('nothing after a good run', async () => {
      await trained(
        { learningRate: 1e-2, epochs: 30 },
        ({ result }) => {
          expect(result.evaluation?.accuracy).to.be.greaterThan(0.9);
          expect(result.advice).to.deep.equal([]);
          expect(result.classCounts.reduce((sum, count) => sum + count)).to.equal(46);
        },
        { validation: train },
      );
    });
  });

  describe('logs', () => {
    it('a row each loggingSteps: the mean loss since the last, the last norm and rate', async () => {
      const every = await logOf({ epochs: 2 });
      const third = await logOf({ epochs: 2, loggingSteps: 3 });
      expect(every.map(({ step }) => step)).to.deep.equal(Array.from({ length: 24 }, (_, i) => i + 1));
      expect(third.map(({ step }) => step)).to.deep.equal([3, 6, 9, 12, 15, 18, 21, 24]);
      for (const row of third) {
        const mean = (every[row.step - 3]!.loss + every[row.step - 2]!.loss + every[row.step - 1]!.loss) / 3;
        expect(row.loss).to.be.closeTo(mean, 1e-12);
        const { grad_norm, learning_rate, epoch } = every[row.step - 1]!;
        expect(row).to.deep.include({ grad_norm, learning_rate, epoch });
      }
    });

    it('epochs as the share of micro-batches, and the rate before the scheduler moves', async () => {
      const rows = await logOf({ epochs: 2, gradientAccumulation: 5 });
      // 12 micro-batches an epoch make steps of 5, 5 and 2.
      expect(rows.map(({ epoch }) => epoch)).to.deep.equal([5 / 12, 10 / 12, 1, 1 + 5 / 12, 1 + 10 / 12, 2]);
      const rates = [0, 1, 2, 3, 4, 5].map((step) => (3e-3 * (6 - step)) / 6);
      rows.forEach(({ learning_rate }, i) => {
        expect(learning_rate).to.be.closeTo(rates[i]!, 1e-15);
      });
    });

    it('a row an epoch', async () => {
      const rows = await logOf({ epochs: 3, loggingSteps: 'epoch' });
      expect(rows.map(({ step }) => step)).to.deep.equal([12, 24, 36]);
    });

    it('nothing between when there are fewer steps, and a summary at the end', async () => {
      await trained({ epochs: 2, loggingSteps: 500 }, ({ result }) => {
        expect(result.logHistory).to.have.length(1);
        const [summary] = result.logHistory;
        expect(summary).to.have.all.keys([
          'train_runtime',
          'train_samples_per_second',
          'train_steps_per_second',
          'train_loss',
          'epoch',
          'step',
        ]);
        expect(summary).to.deep.include({ epoch: 2, step: 24, train_loss: result.trainLoss });
      });
    });

    it('as many rows as a curve wants where nothing is said, and how far apart they are', async () => {
      await trained({ epochs: 9 }, ({ trainer, result }) => {
        const steps = result.logHistory.filter(isLog).map(({ step }) => step);
        expect(steps).to.deep.equal(Array.from({ length: 36 }, (_, i) => 3 * (i + 1)));
        expect(result.state.logging_steps).to.equal(3);
        expect(trainer.settings).to.include({ loggingSteps: 3, epochs: 9 });
      });
    });

    it('the mean of all steps as train_loss', async () => {
      await trained({ epochs: 2, loggingSteps: 1 }, ({ result }) => {
        const losses = result.logHistory.filter(isLog).map(({ loss }) => loss);
        expect(result.trainLoss).to.be.closeTo(losses.reduce((a, b) => a + b, 0) / 24, 1e-12);
      });
    });

    it('the state that trainer_state.json holds', async () => {
      await trained({ epochs: 2, loggingSteps: 5 }, ({ trainer, result }) => {
        expect(result.state).to.equal(trainer.state);
        expect(result.state).to.deep.include({
          best_global_step: null,
          best_metric: null,
          epoch: 2,
          global_step: 24,
          logging_steps: 5,
          max_steps: 24,
          num_train_epochs: 2,
          train_batch_size: 4,
          log_history: result.logHistory,
        });
        expect(Object.keys(result.state)).to.deep.equal(Object.keys(result.state).sort());
      });
    });

    it('evaluations after each epoch, with the metrics of evaluate()', async () => {
      const { result, again } = await trained(
        { epochs: 2 },
        async ({ trainer, result }) => ({ result, again: await trainer.evaluate(validation) }),
        { validation },
      );
      const rows = result.logHistory.filter(isEvaluation);
      expect(rows.map(({ step, epoch }) => [step, epoch])).to.deep.equal([
        [12, 1],
        [24, 2],
      ]);
      const { loss, accuracy, precision, recall, f1_macro, f1_micro, f1_weighted } = again;
      expect(rows[1]).to.deep.include({
        eval_loss: loss,
        eval_accuracy: accuracy,
        eval_precision: precision,
        eval_recall: recall,
        eval_f1_macro: f1_macro,
        eval_f1_micro: f1_micro,
        eval_f1_weighted: f1_weighted,
      });
    });

    it('no evaluations when told not to', async () => {
      await trained(
        { epochs: 2, evaluationStrategy: 'no' },
        ({ result }) => expect(result.logHistory.some(isEvaluation)).to.equal(false),
        { validation },
      );
    });
  });

  describe('emits', () => {
    it('start, progress, log, evaluate and epoch, in this order', async () => {
      await using model = await load();
      const trainer = new Trainer(model, { ...FAST, epochs: 2, loggingSteps: 'epoch' });
      const seen: string[] = [];
      for (const event of ['start', 'progress', 'log', 'evaluate', 'epoch'] as const) {
        trainer.on(event, () => {
          if (seen.at(-1) !== event) seen.push(event);
        });
      }
      await trainer.train(train, { validation });
      const epoch = ['progress', 'log', 'evaluate', 'epoch'];
      expect(seen).to.deep.equal(['start', ...epoch, ...epoch]);
    });

    it('what it is going to do, how far it is, and what an epoch came to', async () => {
      await using model = await load();
      const trainer = new Trainer(model, { ...FAST, epochs: 2, loggingSteps: 1, warmupRatio: 0.25 });
      const steps: number[] = [];
      const losses: number[] = [];
      const epochs: number[] = [];
      trainer.on('start', (plan) => {
        const { trainable, total } = model.countParameters();
        expect(plan).to.deep.include({ totalSteps: 24, stepsPerEpoch: 12, epochs: 2, warmupSteps: 6, examples: 46 });
        expect(plan).to.deep.include({ trainableParameters: trainable, totalParameters: total, truncated: 0 });
      });
      trainer.on('log', ({ loss }) => losses.push(loss));
      trainer.on('progress', (progress) => {
        steps.push(progress.step);
        expect(progress.totalSteps).to.equal(24);
        expect(progress.epoch).to.be.closeTo(progress.step / 12, 1e-12);
        expect(progress.accuracy).to.be.within(0, 1);
        expect(progress.stepsPerSecond).to.be.greaterThan(0);
        expect(progress.secondsLeft).to.be.at.least(0);
      });
      trainer.on('epoch', (summary) => {
        epochs.push(summary.epoch);
        const mean = losses.slice(-12).reduce((a, b) => a + b, 0) / 12;
        expect(summary.trainLoss).to.be.closeTo(mean, 1e-12);
        expect(summary.evaluation?.examples).to.equal(30);
      });
      await trainer.train(train, { validation });
      expect(steps).to.deep.equal(Array.from({ length: 24 }, (_, i) => i + 1));
      expect(epochs).to.deep.equal([1, 2]);
    });

    it('to listeners whose errors end the run and leave a usable model', async () => {
      await using model = await load();
      const trainer = new Trainer(model, { ...FAST, epochs: 3, loggingSteps: 2 });
      trainer.once('log', () => {
        throw new RangeError('enough');
      });
      let caught: unknown;
      await trainer.train(train).catch((error: unknown) => {
        caught = error;
      });
      expect(caught).to.be.instanceOf(RangeError);
      expect(await model.predict('a')).to.have.length(1);
      expect((await trainer.train(train)).steps).to.equal(36);
    });
  });

  describe('steps', () => {
    it('as far as maxSteps, with what belongs at the end of an epoch', async () => {
      await trained(
        { maxSteps: 14, loggingSteps: 'epoch' },
        ({ result }) => {
          expect(result.steps).to.equal(14);
          expect(result.epochs).to.be.closeTo(1 + 2 / 12, 1e-12);
          expect(result.logHistory.map(({ step }) => step)).to.deep.equal([12, 12, 14, 14, 14]);
        },
        { validation },
      );
    });

    it('give the same bits for the same seed, however often they are logged', async () => {
      await writeTinyCheckpoint(directory.path('base'), { dropout: 0.1 });
      const run = (options: TrainerOptions) =>
        trained({ method: lora({ rank: 2 }), epochs: 2, ...options }, ({ model }) => bitsOf(model));
      const bits = await run({});
      expect(await run({ loggingSteps: 1 })).to.deep.equal(bits);
      expect(await run({ seed: 43 })).to.not.deep.equal(bits);
    });

    it('of micro-batches equal the step of the whole batch', async () => {
      const even = tinySplit('train', 48, 3);
      // In double: AdamW makes steps of gradients that are all rounding.
      const run = async (options: TrainerOptions) => {
        await using model = await load({ precision: 'fp64' });
        const trainer = new Trainer(model, { learningRate: 3e-3, epochs: 2, loggingSteps: 1, ...options });
        const { logHistory } = await trainer.train(even);
        return { rows: logHistory.filter(isLog), values: await valuesOf(model) };
      };
      const whole = await run({ batchSize: 12 });
      const parts = await run({ batchSize: 3, gradientAccumulation: 4 });
      expect(parts.rows).to.have.length(8);
      parts.rows.forEach(({ loss, grad_norm }, i) => {
        expect(loss).to.be.closeTo(whole.rows[i]!.loss, 1e-6);
        expect(grad_norm).to.be.closeTo(whole.rows[i]!.grad_norm, 1e-6);
      });
      for (const [name, values] of whole.values) {
        if (name.endsWith('attention.self.key.bias')) continue;
        values.forEach((value, i) => {
          if (Math.abs(value - parts.values.get(name)![i]!) > 1e-6) expect.fail(`${name}[${i}] differs`);
        });
      }
    });

    it('with weights of the classes, named or balanced', async () => {
      const weights = balancedWeights([...labelCounts(train)]);
      const plain = await logOf({ maxSteps: 3 });
      const named = await logOf({ maxSteps: 3, classWeights: weights });
      expect(await logOf({ maxSteps: 3, classWeights: 'balanced' })).to.deep.equal(named);
      expect(named[0]!.loss).to.not.equal(plain[0]!.loss);
      expect(await logOf({ maxSteps: 3, classWeights: [1, 1, 1] })).to.deep.equal(plain);
    });

    it('with smoothed labels', async () => {
      const plain = await logOf({ maxSteps: 1 });
      const smooth = await logOf({ maxSteps: 1, labelSmoothing: 0.2 });
      expect(smooth[0]!.loss).to.not.equal(plain[0]!.loss);
    });

    it('with a focus on what is not learnt yet', async () => {
      const [plain] = await logOf({ maxSteps: 1 });
      const [focused] = await logOf({ maxSteps: 1, focalGamma: 2 });
      expect(focused!.loss).to.be.within(0.1 * plain!.loss, 0.9 * plain!.loss);
    });

    it('count texts that were cut', async () => {
      await trained({ epochs: 1, maxLength: 5 }, ({ result }) => {
        expect(result.truncated).to.be.within(1, 46);
      });
    });
  });

  describe('evaluates', () => {
    it('as the metrics of the predictions and the cross-entropy of the logits', async () => {
      await using model = await load();
      const result = await new Trainer(model).evaluate(validation);
      const { logits } = await model.logits(validation.texts);
      const predictions = (await model.predict(validation.texts)).map(({ label }) => LABELS.indexOf(label));
      expect(result.metrics).to.deep.equal(classificationMetrics(validation.labels, predictions, LABELS));
      expect(result.loss).to.be.closeTo(crossEntropy(logits, validation.labels, 3), 1e-12);
      expect(result.examples).to.equal(30);
      expect(result.samplesPerSecond).to.be.greaterThan(0);
    });

    it('with the smoothing and the weights of training', async () => {
      await using model = await load();
      const classWeights = [1, 2, 0.5];
      const result = await new Trainer(model, { labelSmoothing: 0.1, classWeights }).evaluate(validation);
      const { logits } = await model.logits(validation.texts);
      const loss = crossEntropy(logits, validation.labels, 3, { labelSmoothing: 0.1, classWeights });
      expect(result.loss).to.be.closeTo(loss, 1e-12);
      const focused = await new Trainer(model, { focalGamma: 2, classWeights }).evaluate(validation);
      const focusedLoss = crossEntropy(logits, validation.labels, 3, { focalGamma: 2, classWeights });
      expect(focused.loss).to.be.closeTo(focusedLoss, 1e-12).and.not.be.closeTo(loss, 1e-2);
    });

    it('until it is stopped', async () => {
      await using model = await load();
      const trainer = new Trainer(model);
      await expectRefusal(trainer.evaluate(validation, { signal: AbortSignal.abort() }), 'ABORTED');
    });
  });

  describe('the best epoch', () => {
    // A rate that soon undoes what it learns.
    const wild: TrainerOptions = { learningRate: 0.08, epochs: 8, batchSize: 4, schedule: 'constant' };

    for (const metricForBest of ['f1_macro', 'loss', 'accuracy'] as const) {
      it(`by ${metricForBest} is put back at the end`, async () => {
        await trained(
          { ...wild, loadBestModel: true, metricForBest },
          async ({ trainer, result }) => {
            const values = result.logHistory.filter(isEvaluation).map((row) => row[`eval_${metricForBest}`]!);
            const best = metricForBest === 'loss' ? Math.min(...values) : Math.max(...values);
            expect(result.best?.metric).to.equal(best);
            expect(result.best?.step).to.equal(12 * (1 + values.indexOf(best)));
            expect(result.state).to.deep.include({ best_metric: best, best_global_step: result.best?.step });
            expect((await trainer.evaluate(validation))[metricForBest]).to.equal(best);
          },
          { validation },
        );
      });
    }

    it('is not always the last, so that the tests above tell something', async () => {
      await trained(
        { ...wild },
        ({ result }) => {
          const losses = result.logHistory.filter(isEvaluation).map((row) => row.eval_loss);
          expect(losses.indexOf(Math.min(...losses))).to.be.lessThan(losses.length - 1);
        },
        { validation },
      );
    });

    it('that does not come ends training after its patience', async () => {
      await trained(
        { learningRate: 0, epochs: 9, earlyStoppingPatience: 2 },
        ({ result }) => {
          expect(result.stopped).to.equal('early');
          expect(result.epochs).to.equal(3);
          expect(result.best?.epoch).to.equal(1);
        },
        { validation },
      );
    });

    it('ends training where the caller says so', async () => {
      const asked: number[] = [];
      const stopWhen = async ({ epoch, evaluation }: EpochSummary) => {
        expect(evaluation?.accuracy).to.be.a('number');
        return asked.push(epoch) === 3;
      };
      await trained(
        { epochs: 9 },
        ({ result }) => {
          expect(result).to.include({ stopped: 'early', epochs: 3 });
          expect(asked).to.deep.equal([1, 2, 3]);
        },
        { validation, stopWhen },
      );
    });

    it('that gains less than the threshold does not count for patience', async () => {
      await trained(
        { epochs: 9, metricForBest: 'loss', earlyStoppingPatience: 1, earlyStoppingThreshold: 100 },
        ({ result }) => {
          expect(result.stopped).to.equal('early');
          expect(result.epochs).to.equal(2);
        },
        { validation },
      );
    });

    it('cannot be told without a validation split', async () => {
      await using model = await load();
      for (const options of [{ loadBestModel: true }, { earlyStoppingPatience: 1 }]) {
        await expectRefusal(new Trainer(model, options).train(train), 'INVALID_OPTION', 'validation');
      }
    });
  });

  describe('stops', () => {
    it('where the loss is no number, keeping the parameters of the last good step', async () => {
      await using model = await load();
      const trainer = new Trainer(model, { ...FAST, learningRate: 1e30, loggingSteps: 1 });
      const error = await expectRefusal(trainer.train(train), 'NON_FINITE_LOSS', /at step \d+/);
      const failed = Number(/at step (\d+)/.exec(error.message)![1]);
      expect(trainer.state?.global_step).to.equal(failed - 1);
      expect(trainer.state?.log_history).to.have.length(failed - 1);
      for (const [name, values] of await valuesOf(model)) {
        expect(values.every(Number.isFinite), name).to.equal(true);
      }
      await expectRefusal(model.predict('a'), 'NON_FINITE_LOGITS', 'texts[0]');
    });

    it('at an AbortSignal, as after the last finished step', async () => {
      const options = { ...FAST, schedule: 'constant', loggingSteps: 1 } as const;
      const controller = new AbortController();
      const reason = new Error('enough');
      await using model = await load();
      const trainer = new Trainer(model, options);
      trainer.on('log', ({ step }) => {
        if (step === 17) controller.abort(reason);
      });
      const error = await expectRefusal(trainer.train(train, { signal: controller.signal }), 'ABORTED');
      expect(error.cause).to.equal(reason);
      expect(trainer.state?.global_step).to.equal(17);
      const bits = await trained({ ...options, maxSteps: 17 }, ({ model: other }) => bitsOf(other));
      expect(await bitsOf(model)).to.deep.equal(bits);
      await model.save(directory.path('out'));
    });

    it('before it begins', async () => {
      await using model = await load();
      const before = await bitsOf(model);
      await expectRefusal(new Trainer(model).train(train, { signal: AbortSignal.abort() }), 'ABORTED');
      expect(await bitsOf(model)).to.deep.equal(before);
      expect(model.method).to.equal(null);
    });

    it('when the model is disposed', async () => {
      const model = await load();
      const trainer = new Trainer(model, { ...FAST, epochs: 500, loggingSteps: 1 });
      let disposed: Promise<void> | undefined;
      trainer.once('log', () => {
        disposed = model.dispose();
      });
      await expectRefusal(trainer.train(train), 'DISPOSED');
      await disposed;
    });
  });

  describe('shares the model', () => {
    it('with predictions while it trains', async () => {
      await using model = await load();
      const trainer = new Trainer(model, { ...FAST, epochs: 20, loggingSteps: 1 });
      const before = (await model.predict('good day'))[0]!.score;
      const during: Promise<number>[] = [];
      trainer.on('log', () => during.push(model.predict('good day').then(([prediction]) => prediction!.score)));
      await trainer.train(train);
      const scores = await Promise.all(during);
      expect(scores).to.have.length(240);
      expect(scores.at(-1)).to.not.equal(before);
    });

    it('with no other run at the same time', async () => {
      await using model = await load();
      const trainer = new Trainer(model, { ...FAST, epochs: 3 });
      const run = trainer.train(train);
      await expectRefusal(trainer.train(train), 'INVALID_OPTION', 'being trained');
      await run;
      expect((await trainer.train(train)).steps).to.equal(36);
    });

    it('with later runs, which go on from its parameters', async () => {
      await using model = await load();
      const first = await new Trainer(model, { ...FAST, epochs: 4 }).train(train);
      const second = await new Trainer(model, { ...FAST, epochs: 1 }).train(train);
      expect(second.trainLoss).to.be.lessThan(first.trainLoss);
    });

    it('telling what memory it takes', async () => {
      await trained({ method: lora({ rank: 2 }) }, ({ result, model }) => {
        const { memory, trainableParameters, totalParameters } = result;
        expect({ trainable: trainableParameters, total: totalParameters }).to.deep.equal(model.countParameters());
        expect(memory.gradients).to.be.at.least(4 * trainableParameters);
        expect(memory.gradients).to.be.lessThan(memory.parameters / 10);
        expect(memory.optimizer).to.be.at.least(8 * trainableParameters);
        expect(memory.peak).to.be.at.least(memory.parameters + memory.gradients + memory.optimizer);
        expect(memory.processPeak).to.be.greaterThan(memory.peak);
        expect(memory.datasets).to.equal(0);
      });
    });
  });

  describe('changes nothing by itself', () => {
    for (const [name, method] of [
      ['lora', lora({ rank: 2 })],
      ['full', full()],
    ] as const) {
      it(`when ${name} trains at rate 0`, async () => {
        await using model = await load();
        const before = await model.logits(validation.texts);
        await new Trainer(model, { method, learningRate: 0, maxSteps: 2, weightDecay: 0 }).train(train);
        const after = await model.logits(validation.texts);
        before.logits.forEach((value, i) => {
          expect(after.logits[i]).to.be.closeTo(value, 1e-6);
        });
      });
    }

    it('when a trained prefix goes on without its projection', async () => {
      await using model = await load();
      const method = prefix({ virtualTokens: 3 });
      await new Trainer(model, { ...FAST, method, epochs: 1 }).train(train);
      const before = await model.logits(validation.texts);
      const direct = prefix({ virtualTokens: 3, projection: false });
      await new Trainer(model, { method: direct, learningRate: 0, maxSteps: 1 }).train(train);
      const after = await model.logits(validation.texts);
      before.logits.forEach((value, i) => {
        expect(after.logits[i]).to.be.closeTo(value, 1e-6);
      });
    });
  });

  describe('goes on from an adapter', () => {
    it('with its method, unless another is asked for', async () => {
      const out = directory.path('out');
      const { trainLoss } = await trained({ method: lora({ rank: 4 }), epochs: 4 }, async ({ model, result }) => {
        await model.save(out);
        return result;
      });
      await using model = await TextClassifier.load(out, CPU);
      const trainer = new Trainer(model, FAST);
      expect(trainer.settings.method).to.deep.equal(lora({ rank: 4, targets: ['query', 'value'] }));
      expect((await trainer.train(train)).trainLoss).to.be.lessThan(trainLoss);
      const refused = (method: TrainerOptions['method']) =>
        expectRefusal(() => new Trainer(model, { ...(method && { method }) }), 'INVALID_OPTION', /adapter/);
      await refused(lora({ rank: 8 }));
      await refused(lora({ rank: 4, targets: ['query'] }));
      await refused(full());
      await refused(prefix());
      await refused(linear());
    });

    it('but not with a projection that the adapter does not hold', async () => {
      const out = directory.path('out');
      await trained({ method: prefix({ virtualTokens: 3 }), epochs: 1 }, ({ model }) => model.save(out));
      await using model = await TextClassifier.load(out, CPU);
      expect(new Trainer(model).settings.method).to.deep.equal(prefix({ virtualTokens: 3, projection: false }));
      const method = prefix({ virtualTokens: 3 });
      await expectRefusal(() => new Trainer(model, { method }), 'INVALID_OPTION', 'projection: false');
      const longer = prefix({ virtualTokens: 4, projection: false });
      await expectRefusal(() => new Trainer(model, { method: longer }), 'INVALID_OPTION', '3 virtual tokens');
    });
  });

  describe('refuses', () => {
    const split = (changes: Partial<Split>): Split => ({ ...train, ...changes });

    it('splits that are none', async () => {
      await using model = await load();
      const trainer = new Trainer(model);
      const empty = split({ texts: [], labels: new Int32Array(0) });
      await expectRefusal(trainer.train(empty), 'INVALID_DATA', 'at least one example in train');
      await expectRefusal(trainer.train(train, { validation: empty }), 'INVALID_DATA', 'in validation');
      await expectRefusal(trainer.evaluate(empty), 'INVALID_DATA', 'at least one example');
      const unknown = split({ labels: new Int32Array(46).fill(3) });
      await expectRefusal(trainer.train(unknown), 'INVALID_DATA', /0\.\.2 .*found 3 at 0/);
      await expectRefusal(trainer.train(split({ labels: new Int32Array(45) })), 'SHAPE_MISMATCH', /46.*45/);
      await expectRefusal(trainer.train(split({ texts: [1] as unknown as string[] })), 'SHAPE_MISMATCH');
      const texts = [...train.texts.slice(1), 7] as string[];
      await expectRefusal(trainer.train(split({ texts })), 'INVALID_OPTION', 'train.texts[45]');
      await expectRefusal(trainer.train(['a'] as unknown as Split), 'INVALID_OPTION', 'an object for train');
    });

    it('a model that is none, and texts longer than the model under a prefix', async () => {
      await using model = await load();
      await expectRefusal(() => new Trainer({} as TextClassifier), 'INVALID_OPTION', 'a TextClassifier for model');
      const method = prefix({ virtualTokens: 30 });
      await expectRefusal(() => new Trainer(model, { method, maxLength: 35 }), 'INVALID_OPTION', 'from 1 to 34');
      expect(new Trainer(model, { method, maxLength: 34 }).settings.maxLength).to.equal(34);
    });
  });
});

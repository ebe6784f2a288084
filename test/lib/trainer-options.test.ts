import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { full, linear, lora, prefix } from '../../lib/methods/index.js';
import { defaultLearningRate } from '../../lib/training/defaults.js';
import { resolveTrainerOptions, settleSettings, type TrainerOptions } from '../../lib/training/options.js';

const MODEL = { labels: ['a', 'b', 'c'], hiddenSize: 768 };

describe('trainer options', () => {
  it('default to those of TrainingArguments', () => {
    expect(resolveTrainerOptions({}, MODEL)).to.deep.equal({
      method: full(),
      learningRate: 3e-5,
      epochs: null,
      maxSteps: null,
      batchSize: 16,
      gradientAccumulation: 1,
      gradientCheckpointing: false,
      evalBatchTokens: 1024,
      weightDecay: 0.01,
      layerwiseDecay: 1,
      maxGradNorm: 1,
      adamBeta1: 0.9,
      adamBeta2: 0.999,
      adamEps: 1e-8,
      distributed: 'auto',
      collectiveTimeout: 30,
      schedule: 'linear',
      scheduleCycles: 1,
      schedulePower: 1,
      warmupSteps: null,
      warmupRatio: 0,
      labelSmoothing: 0,
      focalGamma: 0,
      classWeights: null,
      positiveWeights: null,
      seed: 42,
      loggingSteps: 'auto',
      evaluationStrategy: 'epoch',
      evalSteps: 500,
      loadBestModel: false,
      metricForBest: 'f1_macro',
      earlyStoppingPatience: null,
      earlyStoppingThreshold: 0,
      sampling: 'random',
      maxLength: null,
      truncation: null,
      stride: null,
      windowPooling: null,
      outputDirectory: null,
      saveStrategy: 'no',
      saveSteps: 500,
      saveTotalLimit: null,
      labelForBest: null,
      tuneThresholds: false,
      calibrate: false,
    });
  });

  it('take the learning rate from the method and the size of the model', () => {
    for (const method of [full(), linear(), prefix(), lora()]) {
      for (const hiddenSize of [256, 768]) {
        const { learningRate } = resolveTrainerOptions({ method }, { ...MODEL, hiddenSize });
        expect(learningRate).to.equal(defaultLearningRate(method, hiddenSize));
      }
    }
    expect(resolveTrainerOptions({ method: lora(), learningRate: 0.5 }, MODEL).learningRate).to.equal(0.5);
  });

  it('fill in what depends on the data once it is known', () => {
    const settled = (options: TrainerOptions, stepsPerEpoch: number) => {
      const { settings, totalSteps } = settleSettings(resolveTrainerOptions(options, MODEL), {
        stepsPerEpoch,
        meanTokens: 20,
      });
      const { epochs, warmupSteps, loggingSteps } = settings;
      return { totalSteps, epochs, warmupSteps, loggingSteps };
    };
    expect(settled({}, 100)).to.deep.equal({ totalSteps: 600, epochs: 6, warmupSteps: 60, loggingSteps: 12 });
    expect(settled({}, 1000)).to.deep.equal({ totalSteps: 3000, epochs: 3, warmupSteps: 300, loggingSteps: 60 });
    expect(settled({ maxSteps: 30 }, 20)).to.include({ totalSteps: 30, epochs: 1.5, warmupSteps: 3, loggingSteps: 1 });
    expect(settled({ epochs: 1.5, loggingSteps: 500 }, 20)).to.include({
      totalSteps: 30,
      epochs: 1.5,
      loggingSteps: 500,
    });
  });

  it('warm up of themselves only with a learning rate of their own, so that a given one is as in TrainingArguments', () => {
    const warmup = (options: TrainerOptions) =>
      settleSettings(resolveTrainerOptions({ maxSteps: 100, ...options }, MODEL), { stepsPerEpoch: 10, meanTokens: 20 })
        .settings.warmupSteps;
    expect(warmup({})).to.equal(10);
    expect(warmup({ learningRate: 5e-5 })).to.equal(0);
    expect(warmup({ warmupSteps: 0 })).to.equal(0);
    expect(warmup({ warmupRatio: 0 })).to.equal(0);
    expect(warmup({ warmupRatio: 0.5 })).to.equal(50);
    expect(warmup({ learningRate: 5e-5, warmupSteps: 7 })).to.equal(7);
  });

  it('go on with the adapter of the model', () => {
    expect(resolveTrainerOptions({}, { ...MODEL, method: lora({ rank: 2 }) }).method).to.deep.equal(lora({ rank: 2 }));
    expect(resolveTrainerOptions({ method: full() }, { ...MODEL, method: lora({ rank: 2 }) }).method).to.deep.equal(
      full(),
    );
  });

  it('take class weights by name, whatever the order', () => {
    const weights = (classWeights: TrainerOptions['classWeights']) =>
      resolveTrainerOptions({ ...(classWeights && { classWeights }) }, MODEL).classWeights;
    expect(weights({ c: 3, A: 0.5 })).to.deep.equal([0.5, 1, 3]);
    expect(weights([1, 2, 3])).to.deep.equal([1, 2, 3]);
    expect(weights('balanced')).to.equal('balanced');
  });

  const REFUSED: [TrainerOptions, string][] = [
    [{ learningRate: -1 }, 'Expected a number of at least 0 for learningRate but received -1'],
    [{ learningRate: Number.NaN }, 'learningRate'],
    [{ epochs: 0 }, 'epochs'],
    [{ maxSteps: 0 }, 'maxSteps'],
    [{ maxSteps: 2 ** 31 }, 'at most 2147483647 for maxSteps'],
    [{ batchSize: 2 ** 21 }, 'at most 1048576 for batchSize'],
    [{ maxSteps: 5, epochs: 1 }, 'maxSteps'],
    [{ batchSize: -1 }, 'Expected a positive integer for batchSize but received -1'],
    [{ gradientAccumulation: 0.5 }, 'gradientAccumulation'],
    [{ weightDecay: -0.1 }, 'weightDecay'],
    [{ adamBeta1: 1 }, 'adamBeta1'],
    [{ adamEps: 0 }, 'adamEps'],
    [{ schedule: 'step' as 'linear' }, 'one of linear, constant, cosine'],
    [{ warmupSteps: 3, warmupRatio: 0.1 }, 'warmupRatio'],
    [{ labelSmoothing: 1 }, 'labelSmoothing'],
    [{ focalGamma: -1 }, 'focalGamma'],
    [{ focalGamma: 2, labelSmoothing: 0.1 }, 'focalGamma assumes labels that are certain, and labelSmoothing'],
    [{ layerwiseDecay: 0 }, 'layerwiseDecay'],
    [{ layerwiseDecay: 1.1 }, 'layerwiseDecay'],
    [{ classWeights: [1, 2] }, 'balanced or 3 numbers'],
    [{ classWeights: { a: 1, d: 1 } }, "classWeights names d, but the model's classes are a, b, c"],
    [{ classWeights: {} }, 'weights by label'],
    [{ classWeights: { a: -1 } }, 'classWeights[0]'],
    [{ classWeights: 'even' as 'balanced' }, 'weights by label'],
    [{ classWeights: [1, -1, 1] }, 'classWeights[1]'],
    [{ classWeights: [0, 0, 0] }, 'a weight above 0'],
    [{ seed: -1 }, 'seed'],
    [{ seed: 2 ** 53 - 1 }, 'at most 4294967295 for seed but received 9007199254740991'],
    [{ loggingSteps: 0 }, 'loggingSteps'],
    [{ metricForBest: 'f1' as 'f1_macro' }, 'metricForBest'],
    [{ earlyStoppingPatience: 0 }, 'earlyStoppingPatience'],
    [{ loadBestModel: true, evaluationStrategy: 'no' }, 'evaluationStrategy'],
    [{ earlyStoppingPatience: 2, evaluationStrategy: 'no' }, 'evaluationStrategy'],
    [{ schedulePower: 2 }, "schedulePower only applies with schedule: 'polynomial'; leave it out"],
    [
      { scheduleCycles: 1, schedule: 'polynomial' },
      "scheduleCycles only applies with schedule: 'cosine_with_restarts'",
    ],
    [{ evalSteps: 100 }, "evalSteps only applies with evaluationStrategy: 'steps'"],
    [{ earlyStoppingThreshold: 0.1 }, 'earlyStoppingThreshold only applies with earlyStoppingPatience'],
    [
      { labelForBest: 'a' },
      "labelForBest only applies with loadBestModel or earlyStoppingPatience or saveStrategy: 'best'; leave it out",
    ],
    [{ saveSteps: 5, saveStrategy: 'epoch', outputDirectory: 'out' }, "only applies with saveStrategy: 'steps'"],
    [{ maxLength: 0 }, 'maxLength'],
    [{ saveStrategy: 'epoch' }, "saveStrategy: 'epoch' needs outputDirectory"],
    [{ saveStrategy: 'always' as 'epoch', outputDirectory: 'out' }, 'one of no, epoch, steps, best'],
    [{ saveSteps: 0, outputDirectory: 'out' }, 'saveSteps'],
    [{ saveTotalLimit: 0, outputDirectory: 'out' }, 'saveTotalLimit'],
    [{ outputDirectory: '' }, 'outputDirectory'],
    [{ learning_rate: 1 } as TrainerOptions, 'did you mean learningRate?'],
    [{ method: 'lora' } as unknown as TrainerOptions, 'method'],
  ];

  for (const [options, words] of REFUSED) {
    it(`refuse ${JSON.stringify(options)}`, () => {
      expect(() => resolveTrainerOptions(options, MODEL))
        .to.throw(BertuneError, words)
        .with.property('code', 'INVALID_OPTION');
    });
  }
});

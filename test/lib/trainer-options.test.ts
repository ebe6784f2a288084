import { expect } from 'chai';
import { BertuneError } from '../../lib/errors.js';
import { full, linear, lora, prefix } from '../../lib/methods.js';
import { DEFAULT_LEARNING_RATES, resolveTrainerOptions, type TrainerOptions } from '../../lib/training/options.js';

const NAMES = ['a', 'b', 'c'];

describe('trainer options', () => {
  it('default to those of TrainingArguments', () => {
    expect(resolveTrainerOptions({}, NAMES)).to.deep.equal({
      method: full(),
      learningRate: 5e-5,
      epochs: 3,
      maxSteps: null,
      batchSize: 16,
      gradientAccumulation: 1,
      evalBatchTokens: 1024,
      weightDecay: 0.01,
      maxGradNorm: 1,
      adamBeta1: 0.9,
      adamBeta2: 0.999,
      adamEps: 1e-8,
      schedule: 'linear',
      warmupSteps: 0,
      warmupRatio: 0,
      labelSmoothing: 0,
      classWeights: null,
      seed: 42,
      loggingSteps: 500,
      evaluationStrategy: 'epoch',
      loadBestModel: false,
      metricForBest: 'f1_macro',
      earlyStoppingPatience: null,
      earlyStoppingThreshold: 0,
      maxLength: null,
      outputDirectory: null,
      saveStrategy: 'no',
      saveSteps: 500,
      saveTotalLimit: null,
    });
  });

  it('take the learning rate from the method', () => {
    for (const method of [full(), linear(), prefix(), lora()]) {
      expect(resolveTrainerOptions({ method }, NAMES).learningRate).to.equal(DEFAULT_LEARNING_RATES[method.kind]);
    }
    expect(resolveTrainerOptions({ method: lora(), learningRate: 0.5 }, NAMES).learningRate).to.equal(0.5);
  });

  it('go on with the adapter of the model', () => {
    expect(resolveTrainerOptions({}, NAMES, lora({ rank: 2 })).method).to.deep.equal(lora({ rank: 2 }));
    expect(resolveTrainerOptions({ method: full() }, NAMES, lora({ rank: 2 })).method).to.deep.equal(full());
  });

  it('take class weights by name, whatever the order', () => {
    const weights = (classWeights: TrainerOptions['classWeights']) =>
      resolveTrainerOptions({ ...(classWeights && { classWeights }) }, NAMES).classWeights;
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
    [{ maxLength: 0 }, 'maxLength'],
    [{ saveStrategy: 'epoch' }, "saveStrategy: 'epoch' needs outputDirectory"],
    [{ saveStrategy: 'always' as 'epoch', outputDirectory: 'out' }, 'one of no, epoch, steps'],
    [{ saveSteps: 0, outputDirectory: 'out' }, 'saveSteps'],
    [{ saveTotalLimit: 0, outputDirectory: 'out' }, 'saveTotalLimit'],
    [{ outputDirectory: '' }, 'outputDirectory'],
    [{ learning_rate: 1 } as TrainerOptions, 'did you mean learningRate?'],
    [{ method: 'lora' } as unknown as TrainerOptions, 'method'],
  ];

  for (const [options, words] of REFUSED) {
    it(`refuse ${JSON.stringify(options)}`, () => {
      expect(() => resolveTrainerOptions(options, NAMES))
        .to.throw(BertuneError, words)
        .with.property('code', 'INVALID_OPTION');
    });
  }
});

import { expect } from 'chai';
import { full, type Method } from '../../lib/methods/index.js';
import { classificationMetrics } from '../../lib/metrics/single-label.js';
import type { EvaluateResult } from '../../lib/tasks/evaluation.js';
import { type Advice, adviceText, advise, type SeenRun } from '../../lib/training/advice.js';
import { resolveTrainerOptions, settleSettings, type TrainerOptions } from '../../lib/training/options.js';
import type { EvaluateRow, LogHistoryRow } from '../../lib/training/state.js';

const LABELS = ['a', 'b', 'c', 'd'];

interface Losses {
  options?: TrainerOptions;
  method?: Method;
  labels?: string[];
  counts?: number[];
  /** Of the epochs: as many rows of the log as epochs are too few to look at. */
  train?: number[];
  /** Of the epochs. */
  validation?: number[];
  accuracy?: number[];
  /** Rows of the log. */
  log?: number[];
  /** Examples of each class, and what each was taken for. */
  confusion?: number[][];
  stopped?: 'done' | 'early';
  /** 100 an epoch where nobody says. */
  steps?: number;
  usualSteps?: number;
}

/** A run of hidden size 256 and 100 steps an epoch. */
function seen(run: Losses): SeenRun {
  const { labels = LABELS, method = full(), train = [1, 0.5, 0.2], validation = [], accuracy, log = [] } = run;
  const options = { method, epochs: train.length, ...run.options };
  const { settings } = settleSettings(resolveTrainerOptions(options, { labels, hiddenSize: 256 }), {
    stepsPerEpoch: 100,
    meanTokens: 20,
  });
  const epochs = train.map((train_loss, i) => ({ epoch: i + 1, step: 100 * (i + 1), train_loss, train_accuracy: 0.9 }));
  const evaluations = validation.map(
    (eval_loss, i) =>
      ({ eval_loss, eval_accuracy: accuracy?.[i] ?? 0.9, epoch: i + 1, step: 100 * (i + 1) }) as EvaluateRow,
  );
  const rows = log.map((loss, i) => ({ loss, grad_norm: 1, learning_rate: 1, epoch: i, step: i }));
  const history: LogHistoryRow[] = [...rows, ...evaluations];
  const cells = (run.confusion ?? []).flatMap((row, label) =>
    row.flatMap((count, predicted) => Array.from({ length: count }, () => [label, predicted] as const)),
  );
  const metrics =
    cells.length === 0
      ? null
      : classificationMetrics(
          cells.map(([label]) => label),
          cells.map(([, predicted]) => predicted),
          labels,
        );
  const { stopped = 'done', counts = labels.map(() => 400) } = run;
  const { steps = 100 * train.length, usualSteps = steps } = run;
  return {
    ...{ settings, hiddenSize: 256, labels, counts, stopped, steps, usualSteps },
    ...{ task: 'single-label', guessing: Math.log(labels.length), epochs, logHistory: history },
    evaluation:
      metrics &&
      ({ task: 'single-label', accuracy: metrics.accuracy, f1_micro: metrics.micro.f1, metrics } as EvaluateResult),
  };
}

/** Each class right but for `wrong` examples taken for the next one. */
const confusion = (right: number, wrong = 0) =>
  LABELS.map((_, i) => LABELS.map((_, j) => (i === j ? right : j === (i + 1) % 4 ? wrong : 0)));

const adviceOn = (run: Losses) => advise(seen(run));
const codes = (run: Losses) => adviceOn(run).map(({ code }) => code);

describe('advice on a run', () => {
  it('is none after a good one', () => {
    expect(codes({})).to.deep.equal([]);
    const good = { validation: [0.5, 0.28, 0.27], accuracy: [0.9, 0.96, 0.96], confusion: confusion(24, 1) };
    expect(codes(good)).to.deep.equal([]);
    // Next to nothing is left to learn, and a little over-confidence does no harm.
    expect(codes({ train: [0.4, 0.1, 0.02], validation: [0.3, 0.06, 0.05] })).to.deep.equal([]);
    expect(codes({ train: [0.4, 0.1, 0.02], validation: [0.02, 0.01, 0.04] })).to.deep.equal([]);
  });

  it('tells of a loss that ran away, and of nothing else then', () => {
    const [diverged, ...others] = adviceOn({
      train: [1200, 1500, 1409],
      options: { learningRate: 10 },
      confusion: LABELS.map(() => [25, 0, 0, 0]),
    });
    expect(others).to.deep.equal([]);
    expect(diverged).to.deep.include({ code: 'DIVERGED', options: { learningRate: 3e-4 } });
    expect(diverged?.text).to.contain('its loss is 1410, and a model that guesses has 1.39');
    // A loss that was low, and rose above that of guessing.
    expect(codes({ train: [0.5, 0.6, 1.6] })).to.deep.equal(['DIVERGED']);
    expect(codes({ train: [1.36, 1.38, 1.39] })).to.not.include('DIVERGED');
    // The default itself may be too high.
    expect(adviceOn({ train: [9, 9, 9] })[0]?.options).to.deep.equal({ learningRate: 3e-5 });
  });

  it('tells of a validation loss that still falls', () => {
    const run = { train: [1.3, 1.2, 1.1], validation: [1.3, 1.15, 1.02] };
    expect(adviceOn(run)).to.deep.include.members([
      { ...adviceOn(run)[0]!, code: 'STILL_FALLING', options: { epochs: 6 } },
    ]);
    expect(codes({ ...run, validation: [1.3, 1.05, 1.02] })).to.deep.equal([]);
    expect(codes({ ...run, stopped: 'early' })).to.deep.equal([]);
    expect(adviceOn({ ...run, options: { learningRate: 5e-5 } })[0]?.options).to.deep.equal({
      epochs: 6,
      learningRate: 3e-4,
    });
    expect(adviceOn({ ...run, options: { epochs: undefined as never, maxSteps: 300 } })[0]?.options).to.deep.equal({
      maxSteps: 600,
    });
  });

  it('tells of a training loss that still falls where there is no validation split', () => {
    const falling = [1.4, 1.4, 1.3, 1.3, 1.2, 1.2, 1, 1];
    expect(codes({ log: falling })).to.deep.equal(['STILL_FALLING']);
    expect(codes({ log: [1.4, 1.4, 1.3, 1.3, 1.05, 1.05, 1, 1] })).to.deep.equal([]);
    // Low enough that it may be learning its examples by heart.
    expect(codes({ log: falling.map((loss) => loss / 2) })).to.deep.equal([]);
    expect(codes({ train: [1.4, 1.2, 1] })).to.deep.equal(['STILL_FALLING']);
    expect(codes({ train: [1] })).to.deep.equal([]);
  });

  it('tells of a model that learns its examples by heart', () => {
    const run = { train: [1, 0.5, 0.2, 0.1], validation: [0.8, 0.5, 0.6, 0.8] };
    const [advice] = adviceOn(run);
    expect(advice).to.deep.include({ code: 'OVERFITTING', options: { epochs: 2, loadBestModel: true } });
    expect(advice?.text).to.contain('after epoch 2 (0.5) and has risen to 0.8');
    expect(codes({ ...run, options: { loadBestModel: true } })).to.deep.equal([]);
    // More certain, and more often right: no harm.
    expect(codes({ ...run, accuracy: [0.7, 0.8, 0.85, 0.9] })).to.deep.equal([]);
    expect(codes({ ...run, validation: [0.8, 0.5, 0.52, 0.55] })).to.deep.equal([]);
    expect(codes({ ...run, train: [1, 0.5, 0.55, 0.6] })).to.not.include('OVERFITTING');
  });

  it('tells of predictions no better than guesses, by what the loss did', () => {
    const run = { train: [1.39, 1.385, 1.38], confusion: LABELS.map(() => [25, 0, 0, 0]) };
    const low = adviceOn({ ...run, options: { learningRate: 1e-5 } });
    expect(low.map(({ code }) => code)).to.deep.equal(['AT_CHANCE']);
    expect(low[0]?.text).to.contain('An accuracy of 0.25 is no better than always answering').and.contain('a higher');
    expect(low[0]?.options).to.deep.equal({ learningRate: 3e-4 });
    const high = adviceOn({ ...run, options: { learningRate: 1e-2 } });
    expect(high[0]?.text).to.contain('a lower learning rate');
    expect(adviceOn(run)[0]?.options).to.deep.equal({ epochs: 6 });
    expect(adviceOn({ ...run, train: [1.39, 0.5, 0.1] })[0]?.text).to.contain('the labels of both splits');
    expect(codes({ ...run, confusion: confusion(10, 15) })).to.deep.equal([]);
    // Of texts it was trained on an accuracy says nothing, and nobody was shown it.
    expect(codes({ ...run, confusion: [] })).to.deep.equal([]);
    const [stopped] = adviceOn({ ...run, stopped: 'early' });
    expect(stopped?.text).to.contain('a higher earlyStoppingPatience');
    expect(stopped?.options).to.deep.equal({});
  });

  it('says that the loss hardly fell only where it did', () => {
    const run = { confusion: LABELS.map(() => [25, 0, 0, 0]) };
    const words = (train: number[]) => adviceOn({ ...run, train, options: { learningRate: 1e-5 } })[0]?.text;
    expect(words([1.39, 1.385, 1.38])).to.contain('the training loss hardly fell');
    expect(words([1.39, 1.25, 1.24]))
      .to.contain('a higher learning rate')
      .and.not.contain('hardly');
    expect(words([1.39]))
      .to.contain('a higher learning rate')
      .and.not.contain('hardly');
  });

  it('does not judge a handful of steps, and asks for the usual length where a run was told a shorter one', () => {
    const short = { train: [1.39], options: { epochs: undefined as never, maxSteps: 4 }, steps: 4, usualSteps: 600 };
    const [few, ...others] = adviceOn({ ...short, confusion: LABELS.map(() => [25, 0, 0, 0]) });
    expect(others).to.deep.equal([]);
    expect(few).to.deep.equal({
      code: 'AT_CHANCE',
      text: '4 steps are too few to learn from: leave out maxSteps, to train for the usual 600 steps',
      options: {},
    });
    expect(codes({ ...short, confusion: [] })).to.deep.equal([]);
    const falling = { train: [1.3, 1.2, 1.1], validation: [1.3, 1.15, 1.02], options: { epochs: 3 } };
    const [advice] = adviceOn({ ...falling, usualSteps: 1200 });
    expect(advice?.text).to.contain('leave out epochs, to train for the usual 1200 steps');
    expect(advice?.options).to.deep.equal({});
  });

  it('tells of a rare class that is never predicted', () => {
    const labels = ['ham', 'fraud'];
    const run = {
      labels,
      counts: [980, 20],
      train: [0.2, 0.1, 0.1],
      confusion: [
        [98, 0],
        [2, 0],
      ],
    };
    const [advice, ...others] = adviceOn(run);
    expect(others).to.deep.equal([]);
    expect(advice).to.deep.include({ code: 'NEVER_PREDICTED', options: { classWeights: 'balanced' } });
    expect(advice?.text).to.contain('fraud is never predicted, being 20 of 1000 training examples');
    expect(
      codes({
        ...run,
        confusion: [
          [97, 1],
          [1, 1],
        ],
      }),
    ).to.deep.equal([]);
    expect(
      codes({
        ...run,
        confusion: [
          [98, 0],
          [0, 0],
        ],
      }),
    ).to.deep.equal([]);
    expect(codes({ ...run, options: { classWeights: 'balanced' } })).to.not.include('NEVER_PREDICTED');
    expect(codes({ ...run, counts: [500, 500] })).to.not.include('NEVER_PREDICTED');
  });

  it('tells of a class with too few examples where it is missed', () => {
    const labels = ['ham', 'fraud'];
    const run = {
      labels,
      counts: [980, 4],
      train: [0.2, 0.1, 0.1],
      confusion: [
        [98, 0],
        [2, 0],
      ],
    };
    const [advice, ...others] = adviceOn(run);
    expect(others).to.deep.equal([]);
    expect(advice?.code).to.equal('FEW_EXAMPLES');
    expect(advice?.text).to.contain('fraud has 4 training examples and is mostly missed');
    expect(
      codes({
        ...run,
        confusion: [
          [98, 0],
          [0, 2],
        ],
      }),
    ).to.deep.equal([]);
    expect(adviceOn({ ...run, counts: [3, 1] })[0]?.text).to.contain('fraud has 1 training example and');
  });

  it('names options as code has them', () => {
    const advice: Advice = {
      code: 'STILL_FALLING',
      text: 'Train longer',
      options: { epochs: 6, learningRate: 3e-4, loadBestModel: true, classWeights: 'balanced' },
    };
    expect(adviceText(advice)).to.equal(
      "Train longer (epochs: 6 or learningRate: 3e-4 or loadBestModel: true or classWeights: 'balanced').",
    );
    expect(adviceText({ ...advice, options: {} })).to.equal('Train longer.');
  });
});

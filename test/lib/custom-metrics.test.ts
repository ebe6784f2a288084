import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import type { MetricFunctions } from '../../lib/tasks/custom-metrics.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

describe('metrics of the caller', () => {
  const directory = useTemporaryDirectory();
  const split = tinySplit('validation', 20, 2);
  const CPU = { device: 'cpu', threads: 1 } as const;
  beforeEach(() => writeTinyCheckpoint(directory.path('base')));

  it('see labels, predictions and scores, and are in results and log', async () => {
    await using model = await TextClassifier.load(directory.path('base'), CPU);
    const metrics: MetricFunctions = {
      hits: ({ labels, predictions }) => labels.filter((label, i) => label === predictions[i]).length,
      // Who changes what it is given changes nothing for the others.
      certainty: ({ scores, labels }) => {
        const mean = scores.reduce((sum, score) => sum + score, 0) / labels.length;
        scores.fill(0);
        labels.fill(0);
        return mean;
      },
      labels: ({ labelNames }) => labelNames.length,
    };
    const { custom, accuracy } = await model.evaluate(split, { metrics });
    expect(custom!.hits).to.equal(20 * accuracy);
    expect(custom!.certainty).to.be.closeTo(1, 1e-9);
    expect(custom!.labels).to.equal(LABELS.length);
    expect(await model.evaluate(split)).not.to.have.property('custom');
    const trainer = new Trainer(model, { epochs: 2, learningRate: 1e-3 });
    const { evaluation, logHistory } = await trainer.train(tinySplit('train', 30, 1), { validation: split, metrics });
    expect(evaluation!.custom!.hits).to.equal(20 * evaluation!.accuracy);
    const rows = logHistory.flatMap((row) => ('eval_loss' in row ? [row as unknown as Record<string, number>] : []));
    for (const row of rows) expect(row.eval_hits).to.equal(20 * row.eval_accuracy!);
    expect(rows).to.have.length(2);
  });

  it('are refused where they are no functions, give no numbers, or have a name that is taken', async () => {
    await using model = await TextClassifier.load(directory.path('base'), CPU);
    const measure = (metrics: unknown) => model.evaluate(split, { metrics: metrics as MetricFunctions });
    await expectRefusal(measure({ mine: 1 }), 'INVALID_OPTION', 'metrics.mine', 'function');
    await expectRefusal(measure({ accuracy: () => 1 }), 'INVALID_OPTION', 'accuracy');
    await expectRefusal(measure({ 'a b': () => 1 }), 'INVALID_OPTION', 'a b');
    await expectRefusal(measure({ mine: () => 'high' }), 'INVALID_OPTION', 'metrics.mine', 'high');
    await expectRefusal(measure(3), 'INVALID_OPTION', 'metrics');
    const broken = { mine: () => expect.fail('of its own') };
    expect(await measure(broken).catch((error: Error) => error.message)).to.contain('of its own');
  });
});

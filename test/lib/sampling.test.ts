import { expect } from 'chai';
import { Trainer } from '../../lib/api/trainer.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { weightedOrder } from '../../lib/order.js';
import { expectRefusal, useTemporaryDirectory } from './files.js';
import { tinySplit, writeTinyCheckpoint } from './tiny-model.js';

describe('sampling', () => {
  const directory = useTemporaryDirectory();

  it('draws by weight, the same for the same seed', () => {
    const weights = Float64Array.from({ length: 6000 }, (_, i) => (i % 3 === 0 ? 2 : i % 3 === 1 ? 1 : 0));
    const order = weightedOrder(5, weights);
    const shares = [0, 1, 2].map((rest) => order.filter((i) => i % 3 === rest).length / 6000);
    expect(shares[0]).to.be.closeTo(2 / 3, 0.02);
    expect(shares[1]).to.be.closeTo(1 / 3, 0.02);
    expect(shares[2]).to.equal(0);
    expect(weightedOrder(5, weights)).to.deep.equal(order);
    expect(weightedOrder(6, weights)).not.to.deep.equal(order);
    expect(Math.max(...order)).to.be.above(5900);
  });

  it('has a rare class learnt that is lost otherwise', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    const all = tinySplit('train', 400, 1);
    // Of one class a twentieth of what the others have.
    const kept = [...all.labels.keys()].filter((i) => all.labels[i] !== 2 || i % 20 === 0);
    const train = {
      ...all,
      texts: kept.map((i) => all.texts[i]!),
      labels: all.labels.filter((_, i) => kept.includes(i)),
    };
    const recallOf = async (sampling: 'random' | 'balanced') => {
      await using model = await TextClassifier.load(directory.path('base'), { device: 'cpu', threads: 1 });
      await new Trainer(model, { sampling, epochs: 1, learningRate: 5e-3, seed: 3 }).train(train);
      const { metrics } = await model.evaluate(tinySplit('validation', 100, 2));
      return metrics.perClass[2]!.recall;
    };
    expect(await recallOf('balanced')).to.be.above((await recallOf('random')) + 0.2);
    await using values = await TextClassifier.load(directory.path('base'), { device: 'cpu', task: 'multi-label' });
    await expectRefusal(
      () => new Trainer(values, { sampling: 'balanced' }),
      'INVALID_OPTION',
      'sampling has no effect',
    );
  });
});

import { expect } from 'chai';
import { BertuneError, datasetFromRows, lora, TextClassifier, Trainer } from '../../lib/index.js';
import { useTemporaryDirectory } from './files.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from './tiny-model.js';

describe('the public face', () => {
  const directory = useTemporaryDirectory();

  it('trains, measures, saves, loads and predicts', async () => {
    await writeTinyCheckpoint(directory.path('base'));
    const { texts, labels } = tinySplit('train', 40, 3);
    const rows = texts.map((text, i) => ({ text, label: LABELS[labels[i]!]! }));
    const data = datasetFromRows(
      { train: rows.slice(0, 30), validation: rows.slice(30, 35), test: rows.slice(35) },
      { labels: LABELS },
    );
    await using model = await TextClassifier.load(directory.path('base'), { labels: data.labels, device: 'cpu' });
    const trainer = new Trainer(model, { method: lora({ rank: 4 }), learningRate: 1e-2, epochs: 2, loggingSteps: 1 });
    const steps: number[] = [];
    trainer.on('log', ({ step }) => steps.push(step));
    const result = await trainer.train(data.train!, { validation: data.validation! });
    expect(steps).to.deep.equal([1, 2, 3, 4]);
    expect(result.stopped).to.equal('done');
    expect((await trainer.evaluate(data.test!)).accuracy).to.be.within(0, 1);

    await model.save(directory.path('out'));
    await using loaded = await TextClassifier.load(directory.path('out'), { device: 'cpu' });
    expect(await loaded.predict(texts)).to.deep.equal(await model.predict(texts));
    expect(() => lora({ rank: 0 })).to.throw(BertuneError);
  });
});

import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect } from 'chai';
import { TextClassifier } from '../../lib/classifier.js';
import { loadDataset, type Split, type TextDataset } from '../../lib/dataset.js';
import { full } from '../../lib/methods.js';
import { Trainer } from '../../lib/trainer.js';
import { ASSETS } from './tiny-model.js';

const LIMIT_MILLISECONDS = 20;

/** The longest that the event loop was held up while work ran, in milliseconds. */
async function worstDelay(work: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await work();
  delay.disable();
  return delay.max / 1e6;
}

function first(split: Split, count: number): Split {
  return { ...split, texts: split.texts.slice(0, count), labels: split.labels.slice(0, count) };
}

describe('the event loop', function () {
  // A busy machine may hold the process up as well; work that holds up the loop does so every time.
  this.retries(3);
  let data: TextDataset;
  let model: TextClassifier;

  before(async () => {
    data = await loadDataset(join(ASSETS, 'data/goemotions6'));
    // One thread leaves a core to the event loop, so that what is measured is what JavaScript does to it.
    const options = { labels: data.labels, device: 'cpu', threads: 1 } as const;
    model = await TextClassifier.load(join(ASSETS, 'models/bert-mini'), options);
  });
  after(async () => model?.dispose());

  it('runs while 2,000 texts are classified', async () => {
    const texts = data.train!.texts.slice(0, 2000);
    expect(texts).to.have.length(2000);
    expect(await worstDelay(() => model.predict(texts))).to.be.lessThan(LIMIT_MILLISECONDS);
  });

  it('runs through an epoch of training with its evaluation', async () => {
    const trainer = new Trainer(model, { method: full(), learningRate: 3e-4, epochs: 1, loggingSteps: 5 });
    const train = first(data.train!, 1600);
    const delay = await worstDelay(() => trainer.train(train, { validation: data.validation! }));
    expect(delay).to.be.lessThan(LIMIT_MILLISECONDS);
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import { TextClassifier } from '../../lib/classifier.js';
import { loadDataset, type Split, type TextDataset } from '../../lib/dataset.js';
import { full } from '../../lib/methods.js';
import { Trainer } from '../../lib/trainer.js';
import { ASSETS } from './tiny-model.js';

const LIMIT_MILLISECONDS = 20;

/**
 * Milliseconds that the main thread has been ready to run while the processors were busy with something else, as Linux
 * counts them; 0 on other systems. They are no fault of the thread's.
 */
function millisecondsQueued(): number {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

/** The longest that the event loop did not turn while work ran, in milliseconds. */
async function worstDelay(work: () => Promise<unknown>): Promise<number> {
  let running = true;
  const probe = async () => {
    let worst = 0;
    for (let [last, queued] = [performance.now(), millisecondsQueued()]; running; ) {
      await wait(1);
      const [now, queuedNow] = [performance.now(), millisecondsQueued()];
      worst = Math.max(worst, now - last - (queuedNow - queued));
      [last, queued] = [now, queuedNow];
    }
    return worst;
  };
  const worst = probe();
  try {
    await work();
  } finally {
    running = false;
  }
  return worst;
}

function first(split: Split, count: number): Split {
  return { ...split, texts: split.texts.slice(0, count), labels: split.labels.slice(0, count) };
}

describe('the event loop', function () {
  // The machine may hold the process up as well; work that holds up the loop does so every time.
  this.retries(2);
  let data: TextDataset;
  let model: TextClassifier;

  before(async () => {
    data = await loadDataset(join(ASSETS, 'data/goemotions6'));
    model = await TextClassifier.load(join(ASSETS, 'models/bert-mini'), { labels: data.labels, device: 'cpu' });
  });
  after(async () => model?.dispose());

  it('is seen to be held up when it is', async () => {
    const delay = await worstDelay(async () => {
      const end = performance.now() + 100;
      while (performance.now() < end);
      await wait(5);
    });
    expect(delay).to.be.greaterThan(LIMIT_MILLISECONDS);
  });

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

// Run by event-loop.test.ts in a process of its own, as a service would be: the heap of a whole test run would be
// measured otherwise. Prints {"control": ms, "predict": ms, "train": ms}: the longest that the event loop did not turn.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Trainer } from '../../lib/api/trainer.js';
import { loadDataset, type Split } from '../../lib/data/dataset.js';
import { full } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { ASSETS } from './tiny-model.js';

/** The machine may hold the process up as well; work that holds up the loop does so every time. */
const ATTEMPTS = 3;

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

/** The best of a few attempts. */
async function leastWorstDelay(work: () => Promise<unknown>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) least = Math.min(least, await worstDelay(work));
  return least;
}

function first(split: Split, count: number): Split {
  return { ...split, texts: split.texts.slice(0, count), labels: split.labels.slice(0, count) };
}

async function holdUp(): Promise<void> {
  const end = performance.now() + 100;
  while (performance.now() < end);
  await wait(5);
}

const data = await loadDataset(join(ASSETS, 'data/goemotions6'));
const model = await TextClassifier.load(join(ASSETS, 'models/bert-mini'), { labels: data.labels, device: 'cpu' });
const texts = data.train!.texts.slice(0, 2000);
const train = first(data.train!, 1600);
const validation = data.validation!;

const control = await leastWorstDelay(holdUp);
const predict = await leastWorstDelay(() => model.predict(texts));
const trainer = new Trainer(model, { method: full(), learningRate: 3e-4, epochs: 1, loggingSteps: 5 });
const training = await leastWorstDelay(() => trainer.train(train, { validation }));
await model.dispose();
console.log(JSON.stringify({ texts: texts.length, control, predict, train: training }));

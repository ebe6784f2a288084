// Run by event-loop.test.ts in a process of its own, as a service would be: the heap of a whole test run would be
// measured otherwise. Is given the milliseconds that are short enough. Prints {"control": ms, "predict": ms, "train": ms}: the
// longest that the event loop did not turn.
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Trainer } from '../../lib/api/trainer.js';
import { loadDataset, type Split } from '../../lib/data/dataset.js';
import { full } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { leastWorstDelay } from './delays.js';
import { ASSETS } from './tiny-model.js';

function first(split: Split, count: number): Split {
  return { ...split, texts: split.texts.slice(0, count), labels: split.labels.slice(0, count) };
}

const LIMIT = Number(process.argv[2]);

/** Works for 100 ms, however busy the machine is. */
async function holdUp(): Promise<void> {
  const before = process.cpuUsage();
  while (process.cpuUsage(before).user < 100_000);
  await wait(5);
}

const data = await loadDataset(join(ASSETS, 'data/goemotions6'));
const model = await TextClassifier.load(join(ASSETS, 'models/bert-mini'), { labels: data.labels, device: 'cpu' });
const texts = data.train!.texts.slice(0, 2000);
const train = first(data.train!, 480);
const validation = first(data.validation!, 160);

const control = await leastWorstDelay(holdUp, LIMIT);
const predict = await leastWorstDelay(() => model.predict(texts), LIMIT);
const trainer = new Trainer(model, { method: full(), learningRate: 3e-4, epochs: 1, loggingSteps: 5 });
const training = await leastWorstDelay(() => trainer.train(train, { validation }), LIMIT);
await model.dispose();
console.log(JSON.stringify({ texts: texts.length, control, predict, train: training }));

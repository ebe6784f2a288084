// Loads a model and works with it, in as much address space as the process was given, and prints 'done' or the code of the
// error. Plain JavaScript on the built library. Arguments: library, model, task ('predict' or 'train'), 'main' or 'worker'.
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';

const [library, model, task, where] = process.argv.slice(2);

const texts = Array.from({ length: 64 }, (_, i) => `a good day with a friend ${i}`);
const split = {
  name: 'train',
  texts,
  labels: Int32Array.from(texts, (_, i) => i % 3),
  labelNames: ['no', 'maybe', 'yes'],
  source: 'memory',
};

async function work() {
  const { TextClassifier, Trainer } = await import(library);
  const classifier = await TextClassifier.load(model, { device: 'cpu', threads: 2 });
  if (task === 'train')
    await new Trainer(classifier, { method: { kind: 'full' }, epochs: 1, learningRate: 1e-4 }).train(split);
  await classifier.predict(texts);
  await classifier.dispose();
}

const say = (error) => console.log(error === undefined ? 'done' : (error.code ?? error.stack));

if (isMainThread && where === 'worker') {
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: process.argv.slice(2) });
  worker.on('error', say);
} else await work().then(() => say(), say);

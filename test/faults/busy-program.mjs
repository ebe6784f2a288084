// What workers and child processes of the tests of endings do, until they are ended from outside or by process.exit:
// loads, trains, predicts, serves and saves, over and over. Plain JavaScript on the built library, so that it starts fast.
// Argument (workerData, or JSON): { library, model, output, task, exit: { code, delay } | null }
import { rmSync } from 'node:fs';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

const input = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const { TextClassifier, Trainer, PredictionService, lora } = await import(input.library);

const texts = Array.from({ length: 200 }, (_, i) => `a day with good friends ${i}`);
const split = {
  name: 'train',
  texts,
  labels: Int32Array.from(texts, (_, i) => i % 3),
  labelNames: ['no', 'maybe', 'yes'],
  source: 'memory',
};
const load = () => TextClassifier.load(input.model, { device: 'cpu', threads: 2 });

const tasks = {
  async load() {
    const model = await load();
    await model.dispose();
  },
  async train(model) {
    await new Trainer(model, { method: lora({ rank: 2 }), epochs: 1, learningRate: 1e-4 }).train(split, {
      validation: split,
    });
  },
  async predict(model) {
    await Promise.all([model.predict(texts), model.predict(texts.slice(0, 3))]);
  },
  async save(model) {
    const place = `${input.output}-${process.pid}-${Math.random()}`;
    await model.save(place);
    rmSync(place, { recursive: true });
  },
  async serve(model) {
    const service = new PredictionService(model);
    await Promise.all(texts.map((text) => service.predict(text)));
    await service.dispose();
  },
};

if (input.exit) setTimeout(() => process.exit(input.exit.code), input.exit.delay);
parentPort?.postMessage('begun');
const model = input.task === 'load' ? null : await load();
const chosen = input.task === 'all' ? Object.values(tasks) : [tasks[input.task]];
for (;;) for (const task of chosen) await task(model);

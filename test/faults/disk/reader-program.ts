/*
 * Reads a directory in every way that the library has: node --import tsx reader-program.ts MODEL ADAPTER RUN BASE DATA. RUN
 * is an output directory with a checkpoint; what is written goes below the working directory. Prints labels and logits of
 * MODEL, and of ADAPTER on BASE.
 */
import { join } from 'node:path';
import { loadDataset, lora, TextClassifier, Tokenizer, Trainer } from '../../../lib/index.js';

const [model, adapter, run, base, data] = process.argv.slice(2) as [string, string, string, string, string];
const CPU = { device: 'cpu', threads: 1 } as const;
const TEXTS = ['the day was good'];

await using loaded = await TextClassifier.load(model, CPU);
await using based = await TextClassifier.load(base, CPU);
await based.loadAdapter('beside', adapter);
await using adapted = await TextClassifier.load(adapter, CPU);
await using chosen = await TextClassifier.load(base, { ...CPU, adapter });
await Tokenizer.load(model);
await loaded.save('copy');

const { train, labels } = await loadDataset(data);
await using resumed = await TextClassifier.load(base, { ...CPU, labels });
const settings = { method: lora({ rank: 2 }), maxSteps: 2, batchSize: 8, learningRate: 1e-3, seed: 3 };
const trainer = new Trainer(resumed, { ...settings, outputDirectory: 'resumed', saveStrategy: 'epoch' });
const { stopped } = await trainer.train(train!, { resume: join(run, 'checkpoint-1') });

const logits = async (classifier: TextClassifier, options = {}) => [
  ...(await classifier.logits(TEXTS, options)).logits,
];
console.log(
  JSON.stringify({
    model: [loaded.labels, await logits(loaded)],
    adapter: [adapted.labels, await logits(adapted)],
    chosen: [chosen.labels, await logits(chosen)],
    beside: [based.adapters[0]!.labels, await logits(based, { adapter: 'beside' })],
    notes: [loaded.notes, adapted.notes],
    stopped,
  }),
);

/*
 * Reads a model and an adapter in every way that the library has: node --import tsx reader-program.ts MODEL ADAPTER BASE
 * COPY. Saves to COPY alone. Prints what each is known by.
 */
import { type Logits, TextClassifier, Tokenizer } from '../../../lib/index.js';
import { nameOf } from './names.js';

const [model, adapter, base, copy] = process.argv.slice(2) as [string, string, string, string];
const CPU = { device: 'cpu', threads: 1 } as const;

await using loaded = await TextClassifier.load(model, CPU);
await using adapted = await TextClassifier.load(adapter, CPU);
await using chosen = await TextClassifier.load(base, { ...CPU, adapter });
await using based = await TextClassifier.load(base, CPU);
const { labels } = await based.loadAdapter('beside', adapter);
await Tokenizer.load(model);
await loaded.save(copy);
await using copied = await TextClassifier.load(copy, CPU);

const known = (labels: readonly string[], { logits }: Logits) => nameOf(labels, logits);
const TEXTS = ['the day was good'];
const names = {
  model: known(loaded.labels, await loaded.logits(TEXTS)),
  copy: known(copied.labels, await copied.logits(TEXTS)),
  adapter: known(adapted.labels, await adapted.logits(TEXTS)),
  chosen: known(chosen.labels, await chosen.logits(TEXTS)),
  beside: known(labels, await based.logits(TEXTS, { adapter: 'beside' })),
};
console.log(JSON.stringify(names));

/*
 * Saves two models in turn over one another until it is killed: node --import tsx writer-program.ts MODEL DIRECTORY
 * full|lora. Prints the logits of both, then a line a save.
 */
import { full, lora, TextClassifier, Trainer } from '../../../lib/index.js';
import { LABELS, tinySplit } from '../../lib/tiny-model.js';
import { nameOf } from './names.js';

const [source, directory, kind] = process.argv.slice(2) as [string, string, string];

async function trained(seed: number, labels: string[]): Promise<TextClassifier> {
  const model = await TextClassifier.load(source, { labels, device: 'cpu', threads: 1, seed });
  const method = kind === 'full' ? full() : lora({ rank: 2 * seed });
  const split = { ...tinySplit('train', 4, seed), labels: Int32Array.from([0, 1, 2, 0]) };
  await new Trainer(model, { method, maxSteps: 1, batchSize: 4, learningRate: 0.02, seed }).train(split);
  return model;
}

const models = [await trained(1, LABELS), await trained(2, [...LABELS].reverse())];
const logits = await Promise.all(models.map((model) => model.logits(['the day was good'])));
const known = models.map(({ labels }, i) => nameOf(labels, logits[i]!.logits));
await models[0]!.save(directory, { overwrite: true });
console.log(JSON.stringify(known));
for (let i = 1; ; i++) {
  await models[i % 2]!.save(directory, { overwrite: true });
  console.log(i);
}

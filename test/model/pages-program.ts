// Trains a step of a model with many words, and prints how many MiB of memory large and small pages were asked for, as a JSON
// object of before, loaded and trained, and how many MiB its table of words has.
import { readFileSync } from 'node:fs';
import { addExamples, METHODS, MODEL, makePlan, makeSession } from './tiny-session.js';

function advised(): { large: number; small: number } {
  const found = { large: 0, small: 0 };
  for (const [, size, flags] of readFileSync('/proc/self/smaps', 'utf8').matchAll(
    /^Size: +(\d+) kB$[\s\S]*?^VmFlags:(.*)$/gm,
  )) {
    if (/ hg\b/.test(flags!)) found.large += Number(size) / 1024;
    if (/ nh\b/.test(flags!)) found.small += Number(size) / 1024;
  }
  return found;
}

const model = { ...MODEL, vocabSize: 100_000, hiddenSize: 64 };
const table = (model.vocabSize * model.hiddenSize * 4) / 2 ** 20;
const before = advised();
const session = await makeSession(METHODS.full!, 1, model, { device: 'cpu', precision: 'fp32' });
const loaded = advised();
await session.train(makePlan(await addExamples(session), { firstStep: 0 }));
console.log(JSON.stringify({ table, before, loaded, trained: advised() }));
await session.dispose();

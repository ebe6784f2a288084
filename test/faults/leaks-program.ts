// Loads, trains and disposes models, and prints what remains as JSON.
// LD_PRELOAD=faults.node node --expose-gc --import tsx leaks-program.ts '{"faults": path, "folder": path, "cycles": n}'
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { TextClassifier } from '../../lib/classifier.js';
import { full, lora } from '../../lib/methods.js';
import { loadNative } from '../../lib/native.js';
import { Trainer } from '../../lib/trainer.js';
import { tinySplit } from '../lib/tiny-model.js';
import { settleMemory } from './settle-memory.js';

export interface LeakReport {
  cycles: number;
  /** What the addon holds more than after the first cycles: blocks, and bytes that V8 counts as external. */
  blocks: number;
  external: number;
  threads: number;
  /** Bytes a cycle that the process grew by in the second half. */
  slope: number;
}

const {
  faults: path,
  folder,
  cycles,
} = JSON.parse(process.argv[2]!) as {
  faults: string;
  folder: string;
  cycles: number;
};
const faults = createRequire(import.meta.url)(path) as { watch(): number; heldBlocks(): number };
const train = tinySplit('train', 12, 3);
const validation = tinySplit('validation', 5, 4);

async function cycle(index: number): Promise<void> {
  await using model = await TextClassifier.load(join(folder, 'base'), { device: 'cpu', threads: 2 });
  const method = index % 2 ? full() : lora({ rank: 2 });
  await new Trainer(model, { method, batchSize: 4, maxSteps: 3 }).train(train, { validation });
  await model.predict(['a good day', 'a bad day']);
}

async function measure() {
  await settleMemory();
  return {
    blocks: faults.heldBlocks(),
    external: process.memoryUsage().external,
    threads: readdirSync('/proc/self/task').length,
    resident: process.memoryUsage().rss,
  };
}

loadNative();
faults.watch();
for (let index = 0; index < 6; index++) await cycle(index);
const first = await measure();
let middle = first;
for (let index = 0; index < cycles; index++) {
  if (index === Math.floor(cycles / 2)) middle = await measure();
  await cycle(index);
}
const last = await measure();
const report: LeakReport = {
  cycles,
  blocks: last.blocks - first.blocks,
  // JavaScript's own buffers come and go by some kilobytes.
  external: Math.max(0, last.external - first.external - 65536),
  threads: Math.max(0, last.threads - first.threads),
  slope: (last.resident - middle.resident) / (cycles - Math.floor(cycles / 2)),
};
console.log(JSON.stringify(report));

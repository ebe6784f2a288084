// Loads, trains and disposes models, and prints what remains as JSON.
// LD_PRELOAD=faults.node node --expose-gc --import tsx leaks-program.ts '{"faults": path, "folder": path, "cycles": n}'
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Trainer } from '../../lib/api/trainer.js';
import { full, lora } from '../../lib/methods/index.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { loadNative } from '../../lib/native/index.js';
import { tinySplit } from '../lib/tiny-model.js';
import { settleMemory } from './settle-memory.js';

export interface LeakReport {
  cycles: number;
  /** What the addon holds more than after the first cycles: blocks, and bytes that V8 counts as external. */
  blocks: number;
  external: number;
  threads: number;
  /** Bytes a cycle that the process and JavaScript's heap grew by in the second half: the least-squares line's. */
  slope: number;
  heapSlope: number;
  /** MiB of the process over all. */
  resident: number[];
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
/** Of the process's memory. */
const SAMPLES = 40;
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
    heap: process.memoryUsage().heapUsed,
  };
}

loadNative();
faults.watch();
for (let index = 0; index < 6; index++) await cycle(index);
const first = await measure();
const samples: { cycle: number; resident: number; heap: number }[] = [];
const every = Math.max(1, Math.floor(cycles / SAMPLES));
for (let done = 0; done < cycles; done++) {
  await cycle(done);
  if ((done + 1) % every === 0) samples.push({ cycle: done + 1, ...(await measure()) });
}
const last = await measure();

/** The line through the second half of the samples. */
function slope(key: 'resident' | 'heap'): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  const mean = (of: (sample: (typeof half)[0]) => number) => half.reduce((sum, one) => sum + of(one), 0) / half.length;
  const [x, y] = [mean(({ cycle }) => cycle), mean((sample) => sample[key])];
  return mean((one) => (one.cycle - x) * (one[key] - y)) / mean((one) => (one.cycle - x) ** 2);
}

const report: LeakReport = {
  cycles,
  blocks: last.blocks - first.blocks,
  // JavaScript's own buffers come and go by some kilobytes.
  external: Math.max(0, last.external - first.external - 65536),
  threads: Math.max(0, last.threads - first.threads),
  slope: slope('resident'),
  heapSlope: slope('heap'),
  resident: samples.map(({ resident }) => Math.round(resident / 2 ** 20)),
};
console.log(JSON.stringify(report));

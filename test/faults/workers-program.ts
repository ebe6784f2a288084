// Run by workers.test.ts in a process of its own: starts workers and terminates them at random points, two at a time, while
// the main thread predicts. Argument (JSON): { library, model, output, rounds, seed, early }, the last whether they are still loading. Prints a line of JSON.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { gc, seeded } from './collector.js';

const BUSY = new URL('busy-program.mjs', import.meta.url);
/** The longest that a worker is left alone: enough for a round of everything on a quiet machine. */
const MOST_MILLISECONDS = 400;
/** In which a worker loads the library and the addon. */
const LOADING_MILLISECONDS = 300;
const TEXTS = ['a good day', 'a sad friend', 'perhaps we went home'];

const input = JSON.parse(process.argv[2]!);
const { TextClassifier } = (await import(input.library)) as typeof import('../../lib/index.js');
const random = seeded(input.seed);
const model = await TextClassifier.load(input.model, { device: 'cpu', threads: 1 });
const expected = JSON.stringify(await model.predict(TEXTS));
let [begun, done] = [0, 0];

async function round(): Promise<void> {
  const workerData = { ...input, task: 'all', exit: null };
  const worker = new Worker(BUSY, { workerData, execArgv: [] });
  worker.on('error', (error) => {
    throw error;
  });
  if (!input.early) {
    await Promise.race([once(worker, 'message'), once(worker, 'exit')]);
    begun += 1;
  }
  await sleep(random() * (input.early ? LOADING_MILLISECONDS : MOST_MILLISECONDS));
  await worker.terminate();
  done += 1;
}

const resident: number[] = [];
while (done < input.rounds) {
  await Promise.all([round(), round()]);
  if (JSON.stringify(await model.predict(TEXTS)) !== expected)
    throw new Error('the main thread predicts something else');
  if (done % 20 === 0) {
    gc();
    resident.push(Math.round(process.memoryUsage().rss / 2 ** 20));
  }
  process.stderr.write(`#${done}\n`);
}
await model.dispose();
console.log(JSON.stringify({ done, begun, resident }));

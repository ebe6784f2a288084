import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { bundled } from '../../bundled.js';
import { LONG, note, scaled } from '../scale.js';
import type { Outcome, Task } from './worker.js';

/** An input is given up, and named, when it is not done after so much work, or so much time, in milliseconds. */
const GIVEN_UP = { work: 5_000, time: 60_000 };
/** Stands for an input while the thread loads what it needs, for which there is more time. */
const STARTING = -(2 ** 31);
const STARTING_MILLISECONDS = 180_000;
const LOOK_MILLISECONDS = 250;
/** What the values of a file may take in JavaScript's own memory. */
const HEAP_MEGABYTES = 384;

const WORKER = await bundled('worker.ts', import.meta.url);

/**
 * Tests that bad files of a format are refused as documented: no crash, none that takes a second, no memory beyond a
 * multiple of the file's size, no error of another class. BERTUNE_FUZZ_SEED and BERTUNE_FUZZ_FROM repeat a failure.
 *
 * @param name a file of formats/
 * @param short how many generated inputs in `npm test -- --all`
 * @param long how many in `npm run test:faults`. Defaults to 100,000
 */
export function fuzz(name: string, short: number, long = 100_000): void {
  it(`refuses bad files of the format ${name} as documented`, async function () {
    this.timeout(LONG ? 3_600_000 : 240_000);
    const seed = Number(process.env.BERTUNE_FUZZ_SEED ?? (LONG ? Date.now() % 2 ** 31 : 7));
    const from = Number(process.env.BERTUNE_FUZZ_FROM ?? 0);
    const count = Number(process.env.BERTUNE_FUZZ_COUNT ?? scaled(short, long));
    const start = performance.now();
    const { tried, accepted, failures, slowest, mostBytes } = await run({ format: name, seed, from, to: from + count });
    const seconds = (performance.now() - start) / 1000;
    const rate = `${Math.round(tried / seconds)}/s in ${seconds.toFixed(0)} s`;
    note(`bad files: ${name}`, tried);
    note(
      `bad files: ${name}: accepted as sound, speed, slowest, memory beyond the file`,
      `${accepted}, ${rate}, ${slowest.toFixed(0)} ms, ${(mostBytes / 2 ** 20).toFixed(1)} MiB`,
    );
    if (LONG)
      console.log(
        `      ${tried} inputs, ${accepted} accepted, ${rate}, slowest ${slowest.toFixed(0)} ms (seed ${seed})`,
      );
    const listed = failures.map(({ index, what, fault, files }) => {
      return `\n[seed ${seed}, input ${index}] ${what}\n  ${fault}\n  ${JSON.stringify(files)}`;
    });
    expect(failures, `${failures.length} kinds of failures:${listed.join('\n')}`).to.have.length(0);
    expect(tried).to.be.at.least(count);
  });
}

async function run(of: Pick<Task, 'format' | 'seed' | 'from' | 'to'>): Promise<Outcome> {
  const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const directory = await mkdtemp(join(base, 'bertune-fuzz-'));
  const present = new SharedArrayBuffer(4);
  new Int32Array(present)[0] = STARTING;
  const task: Task = { ...of, directory: join(directory, 'files'), present, every: LONG ? 1 : 17 };
  const worker = new Worker(WORKER, {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
  });
  const where = () => `the input ${Atomics.load(new Int32Array(present), 0)} of the seed ${of.seed} of ${of.format}`;
  let watch: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Outcome>((resolve, reject) => {
      let before = Number.NaN;
      let since = performance.now();
      let cpu = process.cpuUsage();
      worker.on('message', resolve);
      worker.on('error', (cause) => reject(new Error(`${where()} ended the thread: ${cause.stack}`, { cause })));
      worker.on('exit', (code) => reject(new Error(`${where()} ended the thread with ${code}`)));
      watch = setInterval(() => {
        const now = Atomics.load(new Int32Array(present), 0);
        if (now !== before) [before, since, cpu] = [now, performance.now(), process.cpuUsage()];
        const { user, system } = process.cpuUsage(cpu);
        const [work, time] = [(user + system) / 1000, performance.now() - since];
        if (now === STARTING ? time > STARTING_MILLISECONDS : work > GIVEN_UP.work || time > GIVEN_UP.time) {
          reject(new Error(`${where()} is not done after ${Math.round(time)} ms`));
        }
      }, LOOK_MILLISECONDS);
    });
  } finally {
    clearInterval(watch);
    await worker.terminate();
    await rm(directory, { recursive: true, force: true });
  }
}

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { allocatedBytes, countAllocations } from './allocations.js';
import { type Format, type Input, Unsound } from './format.js';
import { Random } from './random.js';
import { refusalFault } from './refusal.js';

/* Reads the inputs of one format, in a thread that can be ended from outside when one of them is never done. */

/** What the thread is told. */
export interface Task {
  format: string;
  directory: string;
  seed: number;
  /** Generated inputs: [from, to). */
  from: number;
  to: number;
  /** Of the files cut short every n-th. */
  every: number;
  /** [0]: the input that is being read; those that are fixed count down from −1. */
  present: SharedArrayBuffer;
}

/** What an input did that none may. */
export interface Failure {
  index: number;
  what: string;
  fault: string;
  files: Record<string, string>;
}

/** What came of it. */
export interface Outcome {
  tried: number;
  accepted: number;
  failures: Failure[];
  slowest: number;
  /** Bytes asked for beyond the size of the files, at most. */
  mostBytes: number;
}

/** A sanitizer makes all slower. Less than what fuzz.ts waits before it gives up. */
const MOST_MILLISECONDS = process.env.BERTUNE_SANITIZER ? 4000 : 2000;
const MOST_FAILURES = 25;
/** A reader may ask for this many times a file's size ... */
const FACTOR = 64;
/** ... and this much besides, for its windows. */
const CONSTANT = 24 * 2 ** 20;

const task = workerData as Task;
const outcome: Outcome = { tried: 0, accepted: 0, failures: [], slowest: 0, mostBytes: 0 };
const seen = new Set<string>();
const present = new Int32Array(task.present);
let last: Input = { files: {}, what: 'nothing yet' };
let lastIndex = 0;

function fail(index: number, input: Input, fault: string): void {
  const kind = fault.replace(/\d+/g, '#').slice(0, 120);
  if (seen.has(kind) || outcome.failures.length >= MOST_FAILURES) return;
  seen.add(kind);
  const files = Object.fromEntries(
    Object.entries(input.files).map(([name, data]) => [
      name,
      JSON.stringify(Buffer.from(data).toString('latin1')).slice(0, 600),
    ]),
  );
  outcome.failures.push({ index, what: input.what.slice(0, 300), fault, files });
}

async function attempt(format: Format, index: number, input: Input): Promise<void> {
  [last, lastIndex] = [input, index];
  Atomics.store(present, 0, index);
  mkdirSync(task.directory, { recursive: true });
  let size = 0;
  for (const [name, data] of Object.entries(input.files)) {
    writeFileSync(join(task.directory, name), data);
    size += data.length;
  }
  let fault: string | undefined;
  let milliseconds = Number.POSITIVE_INFINITY;
  // Slow because memory was tidied up is not slow: what was slow is tried again.
  for (let times = 0; times < 3 && milliseconds > MOST_MILLISECONDS; times++) {
    allocatedBytes();
    const start = performance.now();
    const cpu = process.cpuUsage();
    try {
      await format.read(task.directory);
      if (times === 0) outcome.accepted++;
    } catch (error) {
      fault =
        error instanceof Unsound
          ? `accepted although ${error.message}`
          : refusalFault(error, format.codes, task.directory);
    }
    const { user, system } = process.cpuUsage(cpu);
    // On a busy machine a thread waits for others: only work counts, and reading that waits is found by the other limit.
    milliseconds = Math.min(performance.now() - start, (user + system) / 1000);
    const bytes = allocatedBytes();
    outcome.mostBytes = Math.max(outcome.mostBytes, bytes - size);
    if (bytes > FACTOR * size + CONSTANT) fault ??= `${bytes} bytes asked for, by files of ${size}`;
  }
  if (milliseconds > MOST_MILLISECONDS) fault ??= `${Math.round(milliseconds)} ms`;
  outcome.slowest = Math.max(outcome.slowest, milliseconds);
  outcome.tried++;
  if (fault !== undefined) fail(index, input, fault);
  const added = Object.keys(input.files);
  for (const name of added) rmSync(join(task.directory, name), { force: true });
}

process.on('unhandledRejection', (reason) => {
  fail(lastIndex, last, `an unhandled rejection: ${reason instanceof Error ? reason.stack : String(reason)}`);
});

const { format } = (await import(`./formats/${task.format}.ts`)) as { format: Format };
mkdirSync(task.directory, { recursive: true });
await format.prepare?.(task.directory);
countAllocations();
for (const [i, input] of format.fixed.entries()) {
  if (!input.isCut || i % task.every === 0) await attempt(format, -1 - i, input);
}
for (let i = task.from; i < task.to; i++) await attempt(format, i, format.generate(new Random(task.seed, i)));
parentPort!.postMessage(outcome);

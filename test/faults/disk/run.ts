import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundled } from '../../bundled.js';
import { LABELS, tinySplit, writeTinyCheckpoint } from '../../lib/tiny-model.js';
import { note } from '../scale.js';
import { type Fault, shimEnvironment, shimMissing, temporaryFolder } from './shim.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** How a process ended. */
export interface Ending {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Milliseconds. */
  time: number;
}

/** A tiny model and data on disk, and processes of `bertune` that train it. */
export class Bench {
  readonly folder = temporaryFolder();

  async prepare(): Promise<void> {
    // Compiled, because hundreds of processes are started. Up to date already where `npm test -- --all` runs this.
    execFileSync(process.execPath, [join(root, 'scripts/build.js'), '--typescript'], { stdio: 'ignore' });
    await writeTinyCheckpoint(join(this.folder, 'model'), { dropout: 0.1 });
    mkdirSync(join(this.folder, 'disk'));
    for (const [name, examples, seed] of [
      ['train', 24, 1],
      ['validation', 6, 2],
      ['test', 6, 3],
    ] as const) {
      const { texts, labels } = tinySplit(name, examples, seed);
      const rows = texts.map((text, i) => JSON.stringify({ text, label: LABELS[labels[i]!] }));
      writeFileSync(join(this.folder, `${name}.jsonl`), `${rows.join('\n')}\n`);
    }
  }

  /** An output directory that does not exist yet. */
  output(name: string): string {
    const path = join(this.folder, 'disk', name);
    rmSync(path, { recursive: true, force: true });
    return path;
  }

  /** Arguments of a run: two epochs of three steps. */
  arguments(output: string, more: readonly string[]): string[] {
    const file = (name: string) => join(this.folder, `${name}.jsonl`);
    const data = ['--train-file', file('train'), '--validation-file', file('validation'), '--test-file', file('test')];
    const run = ['--epochs', '2', '--batch-size', '8', '--device', 'cpu', '--threads', '1', '--seed', '3'];
    return ['train', '--model', join(this.folder, 'model'), ...data, ...run, '--output', output, ...more];
  }

  /** Trains; `fault` is done to the calls under the output directory. */
  train(output: string, more: readonly string[], options: Partial<RunOptions> = {}): Promise<Ending> {
    return runCli(this.arguments(output, more), { under: output, ...options });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * Gives the suite a bench, which is removed after it. Where the shim cannot be used, the suite is skipped.
 *
 * @param figures what was tried, noted after the tests
 */
export function useBench(figures: () => Record<string, number>): Bench {
  const bench = new Bench();
  const missing = shimMissing();
  before(async function () {
    if (missing) {
      console.log(`      not tried: ${missing}`);
      this.skip();
    }
    await bench.prepare();
  });
  after(() => {
    bench.remove();
    if (missing) return;
    for (const [what, figure] of Object.entries(figures())) note(what, figure);
  });
  return bench;
}

export interface RunOptions {
  /** Directory whose calls go wrong. */
  under: string;
  fault: Fault;
  /** Called with the process once it runs. */
  during: (child: ChildProcess) => void;
  /** Kilobytes that a file may have (`ulimit -f`). */
  fileLimit: number;
}

/** Runs `bertune` with arguments in a process of its own. */
export function runCli(args: readonly string[], options: Partial<RunOptions> = {}): Promise<Ending> {
  return run([join(root, 'dist/cli/main.js'), ...args], options);
}

/** Runs a program beside this file. */
export async function runProgram(
  name: 'reader-program.ts' | 'save-program.ts' | 'writer-program.ts',
  args: readonly string[],
  options: Partial<RunOptions> = {},
): Promise<Ending> {
  return run([await bundled(name, import.meta.url), ...args], options);
}

function run(args: readonly string[], { under, fault, during, fileLimit }: Partial<RunOptions>): Promise<Ending> {
  const began = performance.now();
  const { DEBUG: _, ...inherited } = process.env;
  const env = { ...inherited, ...(under !== undefined && fault && shimEnvironment(under, fault)) };
  const limited = ['-c', `ulimit -f ${fileLimit} && exec "$@"`, 'sh', process.execPath, ...args];
  const child =
    fileLimit === undefined
      ? spawn(process.execPath, args, { env, cwd: root })
      : spawn('sh', limited, { env, cwd: root });
  child.stdin.end();
  during?.(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status, signal, ...output, time: performance.now() - began }));
  });
}

/** Does work on each item, so many at a time, also after some of it failed. Then throws what failed first. */
export async function each<T>(items: readonly T[], atOnce: number, work: (item: T, i: number) => Promise<void>) {
  const failures: unknown[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const i = next++;
      await work(items[i]!, i).catch((error: unknown) => {
        failures.push(error);
        console.log(`      ${String(error).slice(0, 2000)}`);
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failures.length > 0) throw failures[0];
}

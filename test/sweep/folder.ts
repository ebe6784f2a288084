import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ComparisonRecord, RunRecord, SweepRecord } from '../../lib/report/records.js';
import { type CliOptions, type CliResult, runCli } from '../cli/run-cli.js';
import { LABELS, randomNumbers, writeTinyCheckpoint } from '../lib/tiny-model.js';

/** A folder with a small model, a little data and sweeps of them, through the command line. */
export class SweepFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** @param path is there */
  static async create(path: string): Promise<SweepFolder> {
    await writeTinyCheckpoint(join(path, 'model'), { dropout: 0.1 });
    const random = randomNumbers(5);
    const words = [
      ['bad', 'sad', 'awful'],
      ['perhaps', 'might', 'some'],
      ['good', 'love', 'great'],
    ];
    const rows = Array.from({ length: 96 }, (_, i) => {
      const own = words[i % 3]!;
      return `the day was ${own[Math.floor(3 * random())]} ${own[Math.floor(3 * random())]},${LABELS[i % 3]}`;
    });
    await writeFile(join(path, 'data.csv'), `text,label\n${rows.join('\n')}\n`);
    return new SweepFolder(path);
  }

  /** `bertune sweep COMMAND`, in this folder, on one thread of the CPU. */
  sweep(command: string, args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return runCli(['sweep', command, ...args], { cwd: this.path, ...options });
  }

  /** Plans a sweep of the model and the data. */
  async plan(name: string, args: readonly string[]): Promise<CliResult> {
    const usual = ['--model', 'model', '--data', 'data.csv', '--device', 'cpu', '--threads', '1', '--quiet'];
    const result = await this.sweep('plan', [name, ...usual, ...args]);
    expect(result.status, result.stderr).to.equal(0);
    return result;
  }

  /** What `merge` makes. */
  async merge(name: string): Promise<ComparisonRecord & { sweep: SweepRecord }> {
    const result = await this.sweep('merge', [name, '--json', '--quiet']);
    expect(result.status, result.stderr).to.equal(0);
    return JSON.parse(result.stdout);
  }

  /** The results of cells by their ids, as their files hold them. */
  async results(name: string): Promise<Map<string, { attempts: number; run: RunRecord }>> {
    const place = join(this.path, name, 'results');
    const names = await readdir(place);
    const read = async (file: string) => JSON.parse(await readFile(join(place, file), 'utf8'));
    return new Map(
      await Promise.all(names.map(async (file) => [file.replace('.json', ''), await read(file)] as const)),
    );
  }
}

/** What is the same however often a sweep was interrupted: all but times and what the process took. */
export function lasting(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lasting);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !/runtime|_per_second|^created$|^finished$|^attempts$|^memory$/.test(key))
      .map(([key, each]) => [key, lasting(each)]),
  );
}

/** The cells that a `run` began, by the lines that it wrote. */
export function begun({ stderr }: CliResult): string[] {
  return [...stderr.matchAll(/^(.*, seed \d+) \(\d+\/\d+\)$/gm)].map((match) => match[1]!);
}

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compiled } from '../../scripts/compiled.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** The path of a file of the repository. */
export const inRepository = (path: string) => join(root, path);

/** The compiled command line, which starts in a third of the time, is what runs where it is up to date. */
const { isUpToDate } = compiled();

/** What Node.js is given to run `bertune`. */
export const CLI: readonly string[] = isUpToDate
  ? [inRepository('dist/cli/main.js')]
  : ['--import', loader, inRepository('lib/cli/main.ts')];

/** What a run of the command line left behind. */
export interface CliResult {
  /** As a shell has it: 128 + its number for a signal that ended the process. */
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  /** Bytes for stdin; none: stdin is empty. */
  input?: string | Buffer;
  cwd?: string;
  environment?: NodeJS.ProcessEnv;
  /** Called with the process once it runs. */
  during?: ((child: ChildProcessWithoutNullStreams) => void) | undefined;
}

/** A stream that keeps what is written. */
class Kept extends Writable {
  #text = '';
  readonly #decoder = new StringDecoder();

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#text += this.#decoder.write(bytes);
    done();
  }

  get text(): string {
    return this.#text;
  }
}

let isTaken = false;

/**
 * Runs `bertune` with arguments: in this process, which saves starting one, or in its own where it is given something that
 * only a process has, or where this one runs another command.
 */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  if (isTaken || options.environment || options.during) return spawnCli(args, options);
  isTaken = true;
  const { input = '', cwd = root } = options;
  const [stdout, stderr] = [new Kept(), new Kept()];
  const own = {
    argv: [process.execPath, CLI.at(-1), ...args],
    execArgv: CLI.slice(0, -1), // of processes that it forks
    stdin: Readable.from(input === '' ? [] : [Buffer.from(input)]),
    stdout,
    stderr,
  };
  const before = Object.keys(own).map((name) => [name, Object.getOwnPropertyDescriptor(process, name)!] as const);
  const [folder, status] = [process.cwd(), process.exitCode];
  try {
    const { run } = await program();
    for (const [name, value] of Object.entries(own))
      Object.defineProperty(process, name, { value, configurable: true });
    process.chdir(cwd);
    process.exitCode = undefined;
    await run();
    return { status: Number(process.exitCode ?? 0), stdout: stdout.text, stderr: stderr.text };
  } finally {
    for (const [name, descriptor] of before) Object.defineProperty(process, name, descriptor);
    process.chdir(folder);
    process.exitCode = status;
    isTaken = false;
  }
}

const program = (): Promise<typeof import('../../lib/cli/run.js')> =>
  import(inRepository(isUpToDate ? 'dist/cli/run.js' : 'lib/cli/run.ts'));

/** Runs `bertune` with arguments in a process of its own. */
export function spawnCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { input = '', environment = {}, cwd = root, during } = options;
  const child = spawn(process.execPath, [...CLI, ...args], {
    cwd,
    env: { ...process.env, ...environment },
  });
  during?.(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  child.stdin.on('error', () => {
    // A command that needs no input may end before it is written.
  });
  if (during === undefined) child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      resolve({ status: signal === null ? status : 128 + constants.signals[signal], ...output });
    });
  });
}

/** Does something as soon as a process has said something on stderr, once. */
export function onceItSays(child: ChildProcessWithoutNullStreams, what: RegExp, act: () => void): void {
  let said = '';
  const listen = (text: string) => {
    said += text;
    if (!what.test(said)) return;
    child.stderr.off('data', listen);
    act();
  };
  child.stderr.on('data', listen);
}

/** A temporary folder that is gone after the test. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'bertune-cli-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

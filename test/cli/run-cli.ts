import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compiled } from '../../scripts/compiled.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** The path of a file of the repository. */
export const inRepository = (path: string) => join(root, path);

/** What Node.js is given to run `bertune`: the compiled one, which starts in a third of the time, where it is up to date. */
export const CLI: readonly string[] = compiled().isUpToDate
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
  environment?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Called with the process once it runs. */
  during?: ((child: ChildProcessWithoutNullStreams) => void) | undefined;
}

/** Runs `bertune` with arguments in a process of its own. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
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

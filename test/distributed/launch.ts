import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mpi } from '../../lib/distributed/ranks.js';
import { bundled } from '../bundled.js';
import type { Outcome, Program } from './program.js';

/** One rank. */
export const PROGRAM = await bundled('program.ts', import.meta.url);

function onPath(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What starts several processes: an MPI, or something like torchrun, for those on GPUs. */
export type Launcher = Mpi | 'torchrun';

const STARTERS: Record<Launcher, { program: string; args: string[] }> = {
  // As root, on fewer cores than there are ranks, as tests may be.
  openmpi: { program: 'mpirun.openmpi', args: ['--allow-run-as-root', '--oversubscribe', '-n'] },
  mpich: { program: 'mpiexec.mpich', args: ['-n'] },
  torchrun: { program: process.execPath, args: [fileURLToPath(new URL('torchrun.mjs', import.meta.url))] },
};

/** The MPIs that are here. */
export const MPIS = (['openmpi', 'mpich'] as const).filter((mpi) => onPath(STARTERS[mpi].program));

/** Starts processes of Node.js; null: one, by itself. */
export function startNode(args: readonly string[], launcher: Launcher | null, processes = 1): ChildProcess {
  if (launcher === null) return spawn(process.execPath, args);
  const { program, args: own } = STARTERS[launcher];
  return spawn(program, [...own, String(processes), process.execPath, ...args]);
}

/** Starts processes of the program. */
export function start(program: Program, launcher: Launcher | null, processes = 1): ChildProcess {
  return startNode([PROGRAM, JSON.stringify(program)], launcher, processes);
}

/** Resolves once a step is logged, or nothing more will be. */
export function firstStep(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.stderr!.on('data', (chunk) => /step \d/.test(chunk) && resolve());
    child.on('close', () => resolve());
  });
}

/** What the ranks printed, by runs and ranks, and how it ended. */
export async function ended(
  child: ChildProcess,
): Promise<{ outcomes: Outcome[]; errors: string; code: number | null }> {
  let [output, errors] = ['', ''];
  child.stdout!.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    errors += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return { outcomes: lines.map((line) => JSON.parse(line) as Outcome), errors, code };
}

/** Runs the program to its end. */
export async function run(program: Program, launcher: Launcher | null, processes = 1) {
  return ended(start(program, launcher, processes));
}

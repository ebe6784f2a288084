import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mpi } from '../../lib/distributed/ranks.js';
import type { Outcome, Program } from './program.js';

const PROGRAM = fileURLToPath(new URL('program.ts', import.meta.url));

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

const STARTERS: Record<Mpi, { program: string; args: string[] }> = {
  // As root, on fewer cores than there are ranks, as tests may be.
  openmpi: { program: 'mpirun.openmpi', args: ['--allow-run-as-root', '--oversubscribe', '-n'] },
  mpich: { program: 'mpiexec.mpich', args: ['-n'] },
};

/** The MPIs that are here. */
export const MPIS = (Object.keys(STARTERS) as Mpi[]).filter((mpi) => onPath(STARTERS[mpi].program));

/** Starts processes of Node.js; null: one, by itself. */
export function startNode(args: readonly string[], mpi: Mpi | null, processes = 1): ChildProcess {
  if (mpi === null) return spawn(process.execPath, args);
  const { program, args: own } = STARTERS[mpi];
  return spawn(program, [...own, String(processes), process.execPath, ...args]);
}

/** Starts processes of the program. */
export function start(program: Program, mpi: Mpi | null, processes = 1): ChildProcess {
  return startNode(['--import', 'tsx', PROGRAM, JSON.stringify(program)], mpi, processes);
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
export async function run(program: Program, mpi: Mpi | null, processes = 1) {
  return ended(start(program, mpi, processes));
}

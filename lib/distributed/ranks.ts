/** The MPI whose program interface the processes share; each has its own. */
export type Mpi = 'openmpi' | 'mpich';

/** What this process is among those that were started together. */
export interface Ranks {
  /** From 0 to size − 1. */
  rank: number;
  /** Processes. */
  size: number;
  /** Those on this machine. */
  localSize: number;
  /** Which of them this one is, from 0 on. */
  localRank: number;
  /** What started them. */
  launcher: string;
  /** The variable of the environment that says so. */
  variable: string;
  /** Through what those on CPUs find each other; null: nothing. */
  mpi: Mpi | null;
  /** Where those on GPUs do; null where the environment does not say. */
  meeting: Meeting | null;
}

/** A machine, by its name or address, and a port there that rank 0 listens at. */
export interface Meeting {
  address: string;
  port: number;
}

/** Variables of the environment, by what sets them; of several, the first that is there counts. */
const LAUNCHERS: readonly (Pick<Ranks, 'launcher' | 'mpi'> &
  Record<'rank' | 'localRank', string> &
  Record<'size' | 'localSize', readonly string[]>)[] = [
  {
    launcher: 'mpirun of Open MPI',
    mpi: 'openmpi',
    rank: 'OMPI_COMM_WORLD_RANK',
    size: ['OMPI_COMM_WORLD_SIZE'],
    localSize: ['OMPI_COMM_WORLD_LOCAL_SIZE'],
    localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
  },
  {
    launcher: 'mpiexec of MPICH',
    mpi: 'mpich',
    rank: 'PMI_RANK',
    size: ['PMI_SIZE'],
    localSize: ['MPI_LOCALNRANKS'],
    localRank: 'MPI_LOCALRANKID',
  },
  {
    launcher: 'srun',
    mpi: 'openmpi',
    rank: 'PMIX_RANK',
    // A step of a job may have fewer tasks than the job.
    size: ['SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS'],
    localSize: ['SLURM_STEP_TASKS_PER_NODE', 'SLURM_NTASKS_PER_NODE'],
    localRank: 'SLURM_LOCALID',
  },
  {
    launcher: 'torchrun',
    mpi: null,
    rank: 'RANK',
    size: ['WORLD_SIZE'],
    localSize: ['LOCAL_WORLD_SIZE'],
    localRank: 'LOCAL_RANK',
  },
];

/** What this process starts, and does from now on, is nobody's rank. */
export function forgetRanks(): void {
  for (const { rank } of LAUNCHERS) delete process.env[rank];
}

/**
 * The processes that mpirun, mpiexec, srun (with `--mpi=pmix` or `pmi2`) or torchrun started together with this one.
 *
 * @param environment defaults to this process's
 * @returns null where it runs alone
 */
export function findRanks(environment: NodeJS.ProcessEnv = process.env): Ranks | null {
  const count = (...names: readonly string[]) => {
    for (const name of names) {
      // SLURM writes 2(x3) for 2 on each of 3 machines.
      const [, digits] = /^(\d{1,9})(\(x\d+\))?$/.exec(environment[name] ?? '') ?? [];
      if (digits !== undefined) return Number(digits);
    }
    return undefined;
  };
  for (const { launcher, mpi, ...names } of LAUNCHERS) {
    const [rank, size] = [count(names.rank), count(...names.size)];
    if (rank === undefined || size === undefined || rank >= size) continue;
    const localSize = Math.max(1, Math.min(size, count(...names.localSize) ?? 1));
    const localRank = count(names.localRank) ?? 0;
    const meeting = findMeeting(environment);
    return size > 1 ? { rank, size, localSize, localRank, launcher, variable: names.rank, mpi, meeting } : null;
  }
  return null;
}

const MOST_PORT = 65_535;

/** How far from its own port ranks meet where torchrun listens there itself. */
const PORTS_AWAY = 1000;

function findMeeting({ MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE }: NodeJS.ProcessEnv): Meeting | null {
  const port = Number(MASTER_PORT);
  if (!MASTER_ADDR || !Number.isInteger(port) || port < 1 || port > MOST_PORT) return null;
  if (TORCHELASTIC_USE_AGENT_STORE !== 'True') return { address: MASTER_ADDR, port };
  return { address: MASTER_ADDR, port: port + PORTS_AWAY > MOST_PORT ? port - PORTS_AWAY : port + PORTS_AWAY };
}

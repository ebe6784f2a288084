import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BertuneError } from '../errors.js';
import { type NativeDevice, type NativeSession, nativeOrigin } from '../native/index.js';
import type { Ranks } from './ranks.js';

/**
 * What MPIs read as they are loaded. They would take over the C library's calls that map memory, and signals, of which V8 makes its
 * own use: processes crash now and then.
 */
const MANNERS = { UCX_MEM_EVENTS: 'no', UCX_HANDLE_ERRORS: 'none', OMPI_MCA_memory: '^patcher' };

/** Bytes of a digest that ranks compare. */
const DIGEST_BYTES = 6;

/**
 * The ranks of a training run, as one of them sees them. Every rank calls the same methods in the same order; each call
 * waits for all, and rejects with RANK_LOST where one does not come.
 */
export class RankGroup {
  readonly ranks: Ranks;
  readonly #native: NativeSession;

  private constructor(native: NativeSession, ranks: Ranks) {
    this.#native = native;
    this.ranks = ranks;
  }

  /**
   * Joins the others.
   *
   * @param native the session that trains
   * @param device that it is on
   * @param limit seconds that a call waits for the others
   * @throws BertuneError COLLECTIVE_UNAVAILABLE, RANK_LOST
   */
  static async join(native: NativeSession, device: NativeDevice, ranks: Ranks, limit: number): Promise<RankGroup> {
    await (device === 'cpu' ? joinByMpi(native, ranks, limit) : joinByNccl(native, ranks, limit));
    return new RankGroup(native, ranks);
  }

  /** Whether this rank is the one that writes. */
  get leads(): boolean {
    return this.ranks.rank === 0;
  }

  /** The sums over the ranks, element by element. */
  sum(values: Float64Array): Promise<Float64Array> {
    return this.#native.allReduce(values);
  }

  /**
   * What all ranks do next.
   *
   * @param stop whether this rank is asked to stop
   * @param steps how many steps it would run
   * @returns whether any is asked to stop, and what the first would run
   */
  async agree(stop: boolean, steps = 0): Promise<{ stop: boolean; steps: number }> {
    const [stops, chosen] = await this.sum(Float64Array.of(stop ? 1 : 0, this.leads ? steps : 0));
    return { stop: stops! > 0, steps: chosen! };
  }

  /**
   * Compares what all ranks must have alike.
   *
   * @param parts by what they are called in the message
   * @throws BertuneError INVALID_OPTION naming a part that differs, and where
   */
  async expectSame(parts: Readonly<Record<string, string>>): Promise<void> {
    const { rank, size } = this.ranks;
    const names = Object.keys(parts);
    const own = Object.values(parts).map((text) =>
      createHash('sha256').update(text).digest().readUIntBE(0, DIGEST_BYTES),
    );
    const all = new Float64Array(size * names.length);
    all.set(own, rank * names.length);
    const digests = await this.sum(all);
    for (const [i, name] of names.entries()) {
      for (let other = 1; other < size; other++) {
        if (digests[other * names.length + i] === digests[i]) continue;
        throw new BertuneError(
          'INVALID_OPTION',
          `Expected the same ${name} in all ${size} processes, but rank ${other} has another than rank 0`,
        );
      }
    }
  }

  /** Nothing is to be exchanged any more. */
  leave(): Promise<void> {
    return this.#native.leaveRanks();
  }
}

async function joinByMpi(native: NativeSession, ranks: Ranks, limit: number): Promise<void> {
  const { mpi, size, launcher } = ranks;
  if (mpi === null) {
    throw unavailable(
      `${launcher} started ${size} processes, but on the CPU they find each other through MPI; start them with ` +
        `mpirun -n ${size}`,
    );
  }
  const library = join(dirname(nativeOrigin().path), `libbertune_mpi_${mpi}.so`);
  const remedy = mpi === 'openmpi' ? 'libopenmpi-dev' : 'libmpich-dev';
  if (!existsSync(library)) {
    throw unavailable(
      `${launcher} started ${size} processes, but this build does not know its MPI (${library} is not there); install ` +
        `${remedy} and run \`npx bertune build\``,
    );
  }
  for (const [name, value] of Object.entries(MANNERS)) process.env[name] ??= value;
  const found = await native.joinRanks(library, limit);
  if (found.size !== size || found.rank !== ranks.rank) {
    throw unavailable(
      `Expected ${size} processes, as ${launcher} says, but MPI knows ${found.size}; its mpirun and the MPI that bertune was ` +
        'built for are not the same',
    );
  }
}

async function joinByNccl(
  native: NativeSession,
  { rank, size, launcher, meeting }: Ranks,
  limit: number,
): Promise<void> {
  if (meeting === null) {
    throw unavailable(
      `${launcher} started ${size} processes, which on GPUs find each other at MASTER_ADDR and MASTER_PORT; set both for all of ` +
        'them, to the machine of rank 0 and a free port there',
    );
  }
  await native.joinRanks({ rank, size, ...meeting }, limit);
}

const unavailable = (message: string) => new BertuneError('COLLECTIVE_UNAVAILABLE', message);

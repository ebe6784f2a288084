import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { findRanks, type Ranks } from '../distributed/ranks.js';
import { BertuneError, type ErrorCode } from '../errors.js';
import { fullName } from './arguments.js';

/* What the command line makes of being started several times at once, by mpirun and its like. */

/** Commands that make sense in several processes at once. */
const FOR_SEVERAL = ['train', 'sweep run', 'inspect', 'help', 'version'];

/** With `none`, processes that were started together have nothing to do with each other. */
const FLAG = '--distributed';

/** What comes of the command line and of the files that it names: every process of a machine has it alike. */
const ALIKE: readonly ErrorCode[] = [
  ...(['INVALID_OPTION', 'INVALID_DATA', 'NOT_FOUND', 'CHECKPOINT_INVALID'] as const),
  ...(['SHAPE_MISMATCH', 'HUB_UNAVAILABLE', 'HUB_ACCESS', 'COLLECTIVE_UNAVAILABLE'] as const),
];

/** Time for the first process to say what is wrong: a launcher ends all as soon as one of them has failed. */
const HEAD_START = 3000;

/** The processes that share the work of a command line, which need not be one that can be read; null where each is by itself. */
function sharingRanks(): Ranks | null {
  const args = process.argv;
  const isAlone = args.some((arg, i) => (arg === FLAG && args[i + 1] === 'none') || arg === `${FLAG}=none`);
  return isAlone ? null : findRanks();
}

/** Whether this is another process than the first of several. */
export function isFollower(): boolean {
  return (sharingRanks()?.rank ?? 0) > 0;
}

/** @throws BertuneError INVALID_OPTION for a command that several processes would only repeat */
export function expectForSeveral(command: Command): void {
  const ranks = findRanks();
  const name = fullName(command);
  if (ranks === null || FOR_SEVERAL.includes(name)) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `bertune ${name} runs in one process, but ${ranks.launcher} started ${ranks.size}; start it without that. (If each should do ` +
      `work of its own, unset ${ranks.variable}.)`,
  );
}

/**
 * Gives way to the first process, which meets with the same errors and says so.
 *
 * @returns what an error is to begin with here, e.g. `rank 2 on node-b: `; null where it is not to be said
 */
export async function errorPrefix(code: ErrorCode | undefined): Promise<string | null> {
  const ranks = sharingRanks();
  if (ranks === null || ranks.rank === 0) return '';
  await sleep(HEAD_START);
  const isAlike = code !== undefined && ALIKE.includes(code);
  if (isAlike && (ranks.localRank > 0 || code === 'INVALID_OPTION')) return null;
  return `rank ${ranks.rank} on ${hostname()}: `;
}

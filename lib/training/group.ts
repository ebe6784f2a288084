import { RankGroup } from '../distributed/group.js';
import type { Ranks } from '../distributed/ranks.js';
import { BertuneError, type ErrorCode } from '../errors.js';
import { definitionOf, type Method } from '../methods/index.js';
import { packageVersion } from '../native/package.js';
import { option } from '../options/names.js';
import { type PlacedRun, parametersDigest } from './checkpoint/resume.js';
import type { RunIdentity } from './checkpoint/run-record.js';
import type { RunPosition } from './position.js';

/** @throws BertuneError INVALID_OPTION for a method that is not trained in steps, which could be shared */
export function expectShared({ kind }: Method, { launcher, size }: Ranks): void {
  if (!definitionOf(kind).isFitted) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${launcher} started ${size} processes, which cannot share ${option('method', kind)}; start one process, or let each ` +
      `train by itself with ${option('distributed', 'none')}`,
  );
}

/**
 * Joins the other ranks of a run that is about to begin or go on, and checks that it is the same for all.
 *
 * @throws BertuneError INVALID_OPTION naming what differs, COLLECTIVE_UNAVAILABLE, RANK_LOST
 */
export async function joinGroup(
  ranks: Ranks,
  { model, native, methodPlan, given }: PlacedRun,
  identity: RunIdentity,
  position: RunPosition,
): Promise<RankGroup> {
  const trained = await parametersDigest(native, methodPlan, true);
  const group = await RankGroup.join(native, model.where.device, ranks, given.collectiveTimeout);
  await group.expectSame({
    'version of bertune': packageVersion(),
    labels: JSON.stringify(identity.labels),
    precision: identity.precision,
    'training data': identity.train,
    'validation data': String(identity.validation),
    options: JSON.stringify([identity.settings, identity.total_steps]),
    checkpoint: String(position.step),
    weights: identity.frozen + trained,
  });
  return group;
}

/** Ends that all ranks come to together. */
const SHARED_ENDS: readonly ErrorCode[] = ['ABORTED', 'NON_FINITE_LOSS', 'NON_FINITE_LOGITS'];

/** Does the work of a group, and leaves it unless other ranks still wait: what started them then ends them. */
export async function asGroup<T>(group: RankGroup | null, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    await group?.leave();
    return result;
  } catch (cause) {
    if (cause instanceof BertuneError && SHARED_ENDS.includes(cause.code)) await group?.leave();
    throw cause;
  }
}

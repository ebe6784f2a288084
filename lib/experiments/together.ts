import { BertuneError } from '../errors.js';
import { option } from '../options/names.js';
import type { RunRecord } from '../report/records.js';
import { Lockstep, MOST_TOGETHER } from '../training/lockstep.js';
import { executeRun, type RunEvents } from './execute.js';
import type { Experiment } from './experiment.js';

/** Whether a run can train together with others: LoRA, which leaves the base as it is. */
const canShare = ({ method }: Experiment): boolean => method?.kind === 'lora' && !method.dora && method.bias === 'none';

/**
 * What of a comparison runs at a time: all that can train together where the first of them stands, each of the others alone.
 *
 * @throws BertuneError INVALID_OPTION where there are not two that can
 */
export function togetherGroups<Each extends Experiment>(experiments: readonly Each[]): Each[][] {
  const shared = experiments.filter(canShare);
  if (shared.length < 2) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('together', true)} takes two LoRA methods or more, e.g. ${option('methods', 'lora4,lora8')}; all others train by themselves`,
    );
  }
  const count = Math.ceil(shared.length / MOST_TOGETHER);
  const groups = Array.from({ length: count }, (_, i) => {
    return shared.slice(Math.ceil((i * shared.length) / count), Math.ceil(((i + 1) * shared.length) / count));
  });
  return experiments.flatMap((each) => {
    if (each === shared[0]) return groups;
    return canShare(each) ? [] : [[each]];
  });
}

/**
 * Carries runs out that train together, or one by itself. Where memory does not suffice for all, fewer train at a time.
 *
 * @returns their records, in their order. Never rejects.
 */
export async function executeTogether(
  experiments: readonly Experiment[],
  events: RunEvents = {},
): Promise<RunRecord[]> {
  const [only] = experiments;
  return experiments.length === 1 ? [await executeRun(only!, events)] : executeNamed(experiments, events);
}

/** The same, where every line names its run. */
async function executeNamed(experiments: readonly Experiment[], events: RunEvents): Promise<RunRecord[]> {
  const lockstep = experiments.length > 1 ? new Lockstep(experiments.length) : null;
  const running = new Set(experiments);
  const records = await Promise.all(
    experiments.map(async (experiment, i) => {
      const { title } = experiment;
      const own: RunEvents = {
        ...events,
        // All are at the same step: one tells of them.
        onProgress: (state) => {
          if (running.values().next().value === experiment) events.onProgress?.(state);
        },
        onEpoch: (line) => events.onEpoch?.(`${title}: ${line}`),
        onPlan: (lines) => events.onPlan?.(lines.map((line) => `${title}: ${line}`)),
      };
      const record = await executeRun(experiment, own, lockstep?.lane(i));
      running.delete(experiment);
      return record;
    }),
  );
  const left = experiments.filter((_, i) => hadNoMemory(records[i]!));
  if (left.length === 0 || lockstep === null) return records;
  const most = left.length < experiments.length ? left.length : Math.ceil(left.length / 2);
  events.onNote?.(
    `memory does not suffice for ${experiments.length} configurations together; training ${most} at a time`,
  );
  const again = new Map<Experiment, RunRecord>();
  for (let begin = 0; begin < left.length; begin += most) {
    const part = left.slice(begin, begin + most);
    for (const [i, record] of (await executeNamed(part, events)).entries()) again.set(part[i]!, record);
  }
  return experiments.map((experiment, i) => again.get(experiment) ?? records[i]!);
}

/** Whether it ended before its first step for want of memory. */
function hadNoMemory({ error, steps }: RunRecord): boolean {
  return error?.code === 'OUT_OF_MEMORY' && !steps;
}

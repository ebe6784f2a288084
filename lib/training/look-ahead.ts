import type { MethodPlan } from '../methods/index.js';
import type { Role } from '../native/roles.js';

/** What nothing but the head itself is made of. */
const HEAD: ReadonlySet<Role> = new Set<Role>(['classifier', 'probe_norm', 'probe_dense', 'probe_output_norm']);

/** On a GPU, which a pass over one batch of short texts does not fill. */
const MOST_BATCHES = 16;

/**
 * Micro-batches whose features a run makes in one pass: 1 where the encoder, or anything else in front of the head, trains, and
 * on the CPU, where larger passes leave its caches and are slower. Those of a step are not torn apart.
 *
 * @param device as a session knows it
 */
export function lookAheadOf(
  { parameters }: Pick<MethodPlan, 'parameters'>,
  device: string,
  accumulation: number,
  environment: NodeJS.ProcessEnv = process.env,
): number {
  const trains = parameters.filter((row) => row.trainable);
  const isOff = device === 'cpu' || environment.BERTUNE_LOOK_AHEAD === 'off';
  if (isOff || !trains.every((row) => HEAD.has(row.role))) return 1;
  let batches = MOST_BATCHES;
  if (batches >= accumulation) return batches - (batches % accumulation);
  while (accumulation % batches !== 0) batches--;
  return batches;
}

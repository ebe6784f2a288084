import { BertuneError } from '../errors.js';
import type { NativeSession } from '../native/index.js';
import { option } from '../options/names.js';
import type { RunSettings } from './options.js';
import type { RunPlan } from './plan.js';

/**
 * Plans the memory of all steps of a run before the first.
 *
 * @param lookAhead micro-batches to make the features of at once, where the memory suffices
 * @returns how many of them it suffices for
 * @throws BertuneError OUT_OF_MEMORY, saying how to train in less
 */
export async function reserveTraining(
  native: Pick<NativeSession, 'reserve'>,
  plan: Pick<RunPlan, 'settings' | 'examples' | 'tokensOf'>,
  lookAhead: number,
): Promise<number> {
  const { batchSize, gradientAccumulation: accumulation, gradientCheckpointing } = plan.settings;
  const tokens = await plan.tokensOf(lookAhead);
  const stepTokens = accumulation === lookAhead ? tokens : await plan.tokensOf(accumulation);
  const sequences = Math.min(lookAhead * batchSize, plan.examples);
  try {
    await native.reserve({ tokens, sequences, training: true, gradientCheckpointing, stepTokens });
    return lookAhead;
  } catch (cause) {
    if (!(cause instanceof BertuneError) || cause.code !== 'OUT_OF_MEMORY') throw cause;
    if (lookAhead === 1) {
      const batch = `its largest batch has ${sequences} texts with ${tokens} tokens`;
      const message = `${cause.message}. This is for training: ${batch}. It takes less with ${waysToSave(plan.settings).join(', or with ')}`;
      throw new BertuneError(cause.code, message, { cause });
    }
  }
  const half = Math.floor(lookAhead / 2);
  return reserveTraining(native, plan, half >= accumulation ? half - (half % accumulation) : 1);
}

/** Options with which the same training takes less memory. */
function waysToSave({ batchSize, gradientAccumulation, gradientCheckpointing }: RunSettings): string[] {
  const steps = `${option('batchSize', batchSize / 2)} and ${option('gradientAccumulation', 2 * gradientAccumulation)}`;
  return [
    ...(gradientCheckpointing ? [] : [option('gradientCheckpointing', true)]),
    ...(batchSize % 2 === 0 ? [steps] : []),
    `a lower ${option('maxLength')}`,
  ];
}

import { BertuneError } from '../errors.js';
import type { NativeSession } from '../native/index.js';
import { option } from '../options/names.js';
import type { RunSettings } from './options.js';
import type { RunPlan } from './plan.js';

/**
 * Plans the memory of all steps of a run before the first.
 *
 * @throws BertuneError OUT_OF_MEMORY, saying how to train in less
 */
export async function reserveTraining(native: NativeSession, { settings, examples, tokens }: RunPlan): Promise<void> {
  const { batchSize, gradientCheckpointing } = settings;
  const sequences = Math.min(batchSize, examples);
  try {
    await native.reserve({ tokens, sequences, training: true, gradientCheckpointing });
  } catch (cause) {
    if (!(cause instanceof BertuneError) || cause.code !== 'OUT_OF_MEMORY') throw cause;
    const batch = `its largest batch has ${sequences} texts with ${tokens} tokens`;
    const message = `${cause.message}. This is for training: ${batch}. It takes less with ${waysToSave(settings).join(', or with ')}`;
    throw new BertuneError(cause.code, message, { cause });
  }
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

import type { Method } from '../../methods/index.js';
import { type Device, type DeviceOptions, kindOf } from '../../model/device.js';
import { expectTable } from '../../options/table.js';
import type { DataRecord } from '../../report/records.js';
import { resolveTrainerOptions, TRAINER_OPTIONS, type TrainerOptions } from '../../training/options.js';
import { digestOf, NUMERICS } from '../identity.js';

/** All that decides what a cell comes to. */
export interface DecidingParts {
  /** Digest of the model. */
  readonly model: string;
  readonly data: { readonly digest: string; readonly record: DataRecord };
  readonly method: Method;
  readonly options: Omit<TrainerOptions, 'method'>;
  readonly where: DeviceOptions;
  readonly grace: number | null;
}

/**
 * The name of a cell: 16 hexadecimal digits of the digest of all that decides its result. Options that are left out count as
 * their defaults.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function cellId({ model, data, method, options, where, grace }: DecidingParts): string {
  const { labels, summary } = data.record;
  const context = { labels, ...(summary?.task && { task: summary.task }), hiddenSize: 1 };
  resolveTrainerOptions({ ...options, method }, context);
  const {
    outputDirectory: _,
    saveStrategy: _when,
    saveSteps: _steps,
    saveTotalLimit: _limit,
    distributed: _group,
    collectiveTimeout: _wait,
    ...settings
  } = expectTable('options', options, TRAINER_OPTIONS, context);
  const deciding = { numerics: NUMERICS, model, data: data.digest, method, settings, where: machineOf(where), grace };
  return digestOf(deciding).slice(0, 16);
}

/** Which of several GPUs it is decides nothing. */
function machineOf(where: DeviceOptions): DeviceOptions {
  return where.device === undefined ? where : { ...where, device: kindOf(where.device) as Device };
}

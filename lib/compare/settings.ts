import { isCheckpoint } from '../checkpoint.js';
import type { DatasetOptions } from '../data/types.js';
import { BertuneError } from '../errors.js';
import type { DeviceOptions } from '../model/device.js';
import type { DataSource, Experiment } from '../run/experiment.js';
import { parseMethods } from './methods.js';
import type { MethodKind, Preset } from './presets.js';

/** What a user changes of a preset. */
export interface Overrides {
  readonly model?: string;
  readonly data?: DataSource;
  readonly dataset?: Omit<DatasetOptions, 'labels' | 'signal'>;
  readonly methods?: readonly string[];
  readonly epochs?: number;
  readonly batchSize?: number;
  readonly weightDecay?: number;
  readonly seed?: number;
  /** For every method. */
  readonly learningRate?: number;
  /** For the methods of a kind; goes before `learningRate`. */
  readonly learningRates?: Partial<Record<MethodKind, number>>;
  readonly where?: DeviceOptions;
  /** Directory of logs for TensorBoard, one sub-folder a run. */
  readonly tensorboard?: string;
}

/**
 * The runs of a comparison: the model before fine-tuning, then every method.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function comparisonExperiments(preset: Preset, overrides: Overrides): [Experiment, ...Experiment[]] {
  const { learningRate, learningRates = {} } = overrides;
  const common = {
    model: overrides.model ?? preset.model,
    data: overrides.data ?? preset.data,
    dataset: overrides.dataset ?? {},
    where: overrides.where ?? {},
    ...(overrides.tensorboard !== undefined && { tensorboard: overrides.tensorboard }),
  };
  const seed = overrides.seed ?? preset.seed;
  const options = {
    epochs: overrides.epochs ?? preset.epochs,
    batchSize: overrides.batchSize ?? preset.batchSize,
    weightDecay: overrides.weightDecay ?? preset.weightDecay,
    seed,
    loggingSteps: preset.loggingSteps,
  };
  const before: Experiment = {
    ...common,
    name: 'before',
    title: 'before fine-tuning',
    method: null,
    options: { seed },
  };
  const runs = parseMethods(overrides.methods ?? preset.methods).map(({ name, title, method }): Experiment => {
    const rate = learningRates[method.kind] ?? learningRate ?? preset.learningRates[method.kind];
    return { ...common, name, title, method, options: { ...options, learningRate: rate } };
  });
  return [before, ...runs];
}

/**
 * Checks that the model of a comparison is a folder here. Presets may name models that others publish.
 *
 * @throws BertuneError NOT_FOUND saying how to go on
 */
export async function expectLocal(preset: Preset, { model, data }: Pick<Overrides, 'model' | 'data'>): Promise<void> {
  const missing = [
    ...(model === undefined && preset.model.includes('/') && !(await isCheckpoint(preset.model))
      ? [`the model ${preset.model} (--model <folder with config.json, model.safetensors, tokenizer.json>)`]
      : []),
    ...(data === undefined && preset.data.includes('/')
      ? [`the data ${preset.data} (--data <folder with train, validation and test files>)`]
      : []),
  ];
  if (missing.length === 0) return;
  throw new BertuneError(
    'NOT_FOUND',
    `Expected folders for the preset ${preset.name}: download and pass ${missing.join(' and ')}`,
  );
}

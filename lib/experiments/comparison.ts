import type { DatasetOptions } from '../data/types.js';
import { type FindOptions, modelDirectory, pinned } from '../hub/index.js';
import { definitionOf, METHOD_KINDS, type Method, type MethodKind } from '../methods/index.js';
import type { DeviceOptions } from '../model/device.js';
import { invalidOption } from '../options/validation.js';
import { optionsOf } from '../training/options.js';
import type { DataSource, Experiment } from './experiment.js';
import type { Preset } from './presets.js';

/** What a user changes of a preset. */
export interface Overrides {
  readonly model?: string;
  /** Under the adapter, where the model is one. */
  readonly base?: string;
  readonly data?: DataSource;
  readonly dataset?: Omit<DatasetOptions, 'signal'>;
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
  /** Directory of logs for TensorBoard, one sub-folder per run. */
  readonly tensorboard?: string;
  /** As Experiment.mistakes, of the methods: what the model gets wrong before it has learnt says nothing. */
  readonly mistakes?: number;
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
    ...(overrides.base !== undefined && { base: overrides.base }),
    ...(overrides.tensorboard !== undefined && { tensorboard: overrides.tensorboard }),
  };
  const seed = overrides.seed ?? preset.seed;
  const epochs = overrides.epochs ?? preset.epochs;
  const options = {
    ...(epochs !== undefined && { epochs }),
    batchSize: overrides.batchSize ?? preset.batchSize,
    weightDecay: overrides.weightDecay ?? preset.weightDecay,
    seed,
  };
  const before: Experiment = {
    ...common,
    name: 'before',
    title: 'before fine-tuning',
    method: null,
    options: { seed },
  };
  const runs = parseMethods(overrides.methods ?? preset.methods).map(({ name, title, method }): Experiment => {
    const rate = learningRates[method.kind] ?? learningRate ?? preset.learningRate;
    return {
      ...common,
      ...(overrides.mistakes !== undefined && { mistakes: overrides.mistakes }),
      name,
      title,
      method,
      options: optionsOf(method.kind, { ...options, ...(rate !== undefined && { learningRate: rate }) }),
    };
  });
  return [before, ...runs];
}

/**
 * Settles what a comparison's names mean, once for all its processes: the model's folder, fetched where needed, and the
 * data's commit. Neither has to be asked about again.
 *
 * @throws BertuneError as findModel
 */
export async function settle<Each extends Experiment>(
  experiments: readonly [Each, ...Each[]],
  options: FindOptions,
): Promise<[Each, ...Each[]]> {
  const [{ model, base, data }] = experiments;
  const settled = {
    model: await modelDirectory(model, options),
    ...(base !== undefined && { base: await modelDirectory(base, options) }),
    data: typeof data === 'string' ? await pinned('dataset', data, options) : data,
  };
  const [first, ...others] = experiments;
  return [{ ...first, ...settled }, ...others.map((experiment) => ({ ...experiment, ...settled }))];
}

/** What names of methods begin with: kinds, each followed by its variants. */
const COMPARED = METHOD_KINDS.flatMap((kind) => {
  const definition = definitionOf(kind);
  const words = Object.entries({ [kind]: {}, ...definition.variants });
  return words.map(([word, options]) => ({ word, definition, options }));
});

/** A method of a comparison. */
interface NamedMethod {
  /** Its name in options and files, e.g. `lora8`. */
  readonly name: string;
  /** Its name in tables, e.g. `LoRA r=8`. */
  readonly title: string;
  readonly method: Method;
}

/**
 * Reads the names of methods: `full`, `linear`, `prefix` or `prefix20` (virtual tokens), `lora` or `lora8` (rank; alpha
 * is four times it), `dora8` for its variant DoRA.
 *
 * @throws BertuneError INVALID_OPTION for another name, or the same twice
 */
export function parseMethods(names: readonly string[]): NamedMethod[] {
  const methods = names.map((given) => {
    const [, word, digits] = /^([a-z]+)(?:-?(\d+))?$/.exec(given) ?? [];
    const named = COMPARED.find((each) => each.word === word);
    if (named === undefined || (digits !== undefined && named.definition.size === undefined)) {
      throw invalidOption('methods', comparedWords(' or '), given);
    }
    const { definition, options } = named;
    const { size } = definition;
    const method = definition.create({
      ...options,
      ...(size && digits !== undefined && { [size.option]: Number(digits) }),
    });
    return { name: definition.name(method), title: definition.title(method), method };
  });
  const twice = methods.find(({ name }, index) => methods.findIndex((other) => other.name === name) < index);
  if (twice !== undefined) throw invalidOption('methods', 'every method once', twice.name);
  return methods;
}

/** The names that `parseMethods` reads: `full, linear, prefix<virtual tokens> ...`. */
export function comparedWords(last: ', ' | ' or '): string {
  const words = COMPARED.map(({ word, definition: { size } }) => (size ? `${word}<${size.words}>` : word));
  return `${words.slice(0, -1).join(', ')}${last}${words.at(-1)}`;
}

import { architectureOf, type ModelConfig } from '../../architectures/index.js';
import { byName, encoderRows, linearWeights, lowRankRows, moduleOf } from '../../architectures/rows.js';
import { BertuneError } from '../../errors.js';
import { canonicalName, checkParameter } from '../../formats/checkpoint/weights.js';
import type { Safetensors } from '../../formats/safetensors.js';
import type { Tensor } from '../../formats/tensor.js';
import { option } from '../../options/names.js';
import { expectNumberInRange, expectPositiveInteger, invalidOption } from '../../options/validation.js';
import { checkHead, fitHead, isHeadName, plainName } from './head.js';
import { adapterMetadata, readMetadata } from './metadata.js';
import type { AdapterSettings } from './settings.js';
import {
  ALL_LINEAR,
  isChosen,
  knownTargets,
  type ModuleChoice,
  matchPattern,
  patternValues,
  resolveTargets,
  updateSizes,
} from './targets.js';
import { LORA_BIASES, type LoraAdapter, type LoraShape, type ModulePattern } from './types.js';

/** What PEFT puts in front of the base model's names. */
const PREFIX = 'base_model.model.';

const FACTOR = /^(.+)\.lora_([AB])\.weight$/;
const MAGNITUDE = /\.lora_magnitude_vector$/;

/** The targets of an architecture, where a method names none, are those of PEFT. */
export function loraTargets(targets: readonly string[] | null, config: ModelConfig): readonly string[] {
  return targets ?? architectureOf(config).loraTargets;
}

/**
 * The updates of a model's modules.
 *
 * @param targets null: the architecture's
 * @throws BertuneError INVALID_OPTION for names that match no module, layers that there are not, or where nothing is left
 */
export function loraUpdates(targets: readonly string[] | null, shape: LoraShape, config: ModelConfig) {
  const { layers = null, exclude = [] } = shape;
  const weights = resolveTargets({ targets: loraTargets(targets, config), layers, exclude }, config);
  const modules = weights.map(moduleOf);
  for (const name of ['rankPattern', 'alphaPattern'] as const) {
    for (const expression of Object.keys(shape[name] ?? {})) {
      if (patternValues({ [expression]: 1 }, modules).size > 0) continue;
      throw new BertuneError(
        'INVALID_OPTION',
        `${option(name)} names ${JSON.stringify(expression)}, which matches none of the modules that are updated`,
      );
    }
  }
  const sizes = updateSizes(modules, shape);
  return weights.map((weight, i) => ({ weight, ...sizes[i]! }));
}

/** Reads what PEFT saved of a LoRA. Errors as readAdapter. */
export function readLora(settings: AdapterSettings, file: Safetensors, where: string): LoraAdapter {
  settings.refuseUnknown([
    ...[
      'peft_type',
      'r',
      'lora_alpha',
      'lora_dropout',
      'target_modules',
      'use_rslora',
      'use_dora',
      'rank_pattern',
      'alpha_pattern',
    ],
    ...['layers_to_transform', 'layers_pattern', 'exclude_modules', 'bias'],
  ]);
  const bias = settings.oneOf('bias', LORA_BIASES);
  const dora = settings.flag('use_dora');
  const tensors = new Map<string, Tensor>();
  const modules = new Set<string>();
  for (const [inFile, tensor] of file.tensors) {
    const name = adapterName(inFile, where);
    if (name === null) continue;
    tensors.set(name, tensor);
    const module = FACTOR.exec(name)?.[1];
    const isOther = isHeadName(name) || (bias !== 'none' && name.endsWith('.bias')) || (dora && MAGNITUDE.test(name));
    if (module !== undefined) modules.add(module);
    else if (!isOther) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected only lora_A, lora_B and classifier tensors in ${where} but found ${inFile}`,
      );
    }
  }
  const { targets, layers, exclude } = readChoice(settings, modules, where);
  // An expression that matches nothing says nothing, in PEFT as well.
  const pattern = (key: string, expected: string, test: (value: number) => boolean) =>
    Object.fromEntries(
      Object.entries(settings.numbers(key, expected, test)).filter(
        ([expression, value]) => patternValues({ [expression]: value }, [...modules]).size > 0,
      ),
    );
  const isRank = (value: number) => Number.isSafeInteger(value) && value > 0;
  const adapter: LoraAdapter = {
    kind: 'lora',
    rank: settings.positiveInteger('r'),
    alpha: settings.number('lora_alpha', undefined, 'a number', Number.isFinite),
    rslora: settings.flag('use_rslora'),
    dora,
    rankPattern: pattern('rank_pattern', 'positive integers by name', isRank),
    alphaPattern: pattern('alpha_pattern', 'numbers by name', Number.isFinite),
    dropout: settings.number('lora_dropout', 0, 'a number from 0 to below 1', (value) => value >= 0 && value < 1),
    targetModules: [...targets],
    layers,
    exclude,
    bias,
    baseModel: settings.text('base_model_name_or_path'),
    baseRevision: settings.text('revision'),
    tensors,
  };
  return Object.assign(adapter, readMetadata(file.metadata, checkLora(adapter, where), where));
}

/** adapter_config.json and the file's tensors and metadata. Errors as writeAdapter. */
export function formatLora(adapter: LoraAdapter): { settings: Record<string, unknown>; file: Safetensors } {
  expectPositiveInteger('rank', adapter.rank);
  expectNumberInRange('alpha', adapter.alpha, {});
  expectNumberInRange('dropout', adapter.dropout, { min: 0, max: 1, maxExclusive: true });
  const { targetModules: targets, layers = null, exclude = [], bias = 'none' } = adapter;
  if (!Array.isArray(targets) || targets.length === 0) {
    throw invalidOption('targetModules', 'an array of names of modules', targets);
  }
  const metadata = adapterMetadata(adapter, checkLora(adapter, 'what is to be written'));
  const modules = modulesOf(adapter);
  const [rankPattern, alphaPattern] = [adapter.rankPattern, adapter.alphaPattern].map((pattern = {}) =>
    sortedPattern(pattern, modules),
  );
  return {
    settings: {
      auto_mapping: null,
      base_model_name_or_path: adapter.baseModel,
      bias,
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: true,
      layers_pattern: null,
      layers_to_transform: layers && [...layers],
      lora_alpha: adapter.alpha,
      lora_dropout: adapter.dropout,
      modules_to_save: ['classifier', 'score'],
      peft_type: 'LORA',
      r: adapter.rank,
      revision: adapter.baseRevision ?? null,
      target_modules: targets.includes(ALL_LINEAR) ? lastNames(modules) : [...targets],
      task_type: 'SEQ_CLS',
      // Keys that early versions of PEFT do not know are there where they say something.
      ...(rankPattern && { rank_pattern: rankPattern }),
      ...(alphaPattern && { alpha_pattern: alphaPattern }),
      ...(exclude.length > 0 && { exclude_modules: [...exclude] }),
      ...(adapter.rslora && { use_rslora: true }),
      ...(adapter.dora && { use_dora: true }),
    },
    file: {
      tensors: new Map([...adapter.tensors].map(([name, tensor]) => [nameInFile(name, modules), tensor])),
      metadata,
    },
  };
}

/** PEFT's name of a tensor: a bias of an updated module is that of the layer under the update. */
function nameInFile(name: string, modules: readonly string[]): string {
  const module = name.replace(/\.bias$/, '');
  return `${PREFIX}${modules.includes(module) ? `${module}.base_layer.bias` : name}`;
}

/**
 * A pattern whose keys can be sorted, as they are in files: where that would change what counts, the modules' full names.
 *
 * @returns undefined for none
 */
function sortedPattern(pattern: ModulePattern, modules: readonly string[]): ModulePattern | undefined {
  const entries = Object.entries(pattern);
  if (entries.length === 0) return undefined;
  const values = patternValues(pattern, modules);
  const sorted = Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  const isSame = [...patternValues(sorted, modules)].every(([module, value]) => values.get(module) === value);
  return isSame ? sorted : Object.fromEntries([...values].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The names of the modules with an update. */
function modulesOf({ tensors }: LoraAdapter): string[] {
  return [...new Set([...tensors.keys()].flatMap((name) => FACTOR.exec(name)?.[1] ?? []))];
}

/** The last parts of modules' names, which every PEFT version takes for all of them. */
function lastNames(modules: readonly string[]): string[] {
  return [...new Set(modules.map((module) => module.split('.').at(-1)!))].sort();
}

/** Checks a LoRA against the model that it is to go on. Errors as fitAdapter. */
export function fitLora(given: LoraAdapter, config: ModelConfig): LoraAdapter {
  const where = 'the LoRA adapter';
  const tensors = new Map([...given.tensors].map(([name, tensor]) => [canonicalName(name, config), tensor] as const));
  const weights = linearWeights(config);
  const modules = weights.map(moduleOf);
  const [targetModules, exclude] = [given.targetModules, given.exclude ?? []].map((names) =>
    knownTargets(names, modules),
  );
  const adapter: LoraAdapter = { ...given, targetModules: targetModules!, exclude: exclude!, tensors };
  const targeted = weights.filter((weight) => isChosen(moduleOf(weight), choiceOf(adapter)));
  const sizes = updateSizes(targeted.map(moduleOf), adapter);
  const expected = byName(targeted.flatMap((weight, i) => lowRankRows(weight, sizes[i]!.rank, adapter.dora ?? false)));
  for (const [name, { shape }] of expected) {
    const tensor = adapter.tensors.get(name);
    if (!tensor) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected tensor ${name} of shape [${shape.join(', ')}] in ${where} but there is none, though its ` +
          'target_modules match the module',
      );
    }
    checkParameter(name, tensor, shape, where);
  }
  const biases = byName(encoderRows(config).filter(({ part }) => part === 'bias'));
  for (const [name, tensor] of adapter.tensors) {
    const bias = biases.get(name);
    if (bias) checkParameter(name, tensor, bias.shape, where);
    else if (!expected.has(name) && !isHeadName(name)) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected only modules of a model of ${config.layers} layers in ${where} but found ${name}`,
      );
    }
  }
  fitHead(adapter.tensors, config, where);
  return adapter;
}

function choiceOf({ targetModules, layers = null, exclude = [] }: LoraAdapter): ModuleChoice {
  return { targets: targetModules, layers, exclude };
}

/**
 * What can be checked without the base model: both factors of each module, their rank, the head.
 *
 * @returns the number of classes, or null where there is no head
 */
function checkLora(adapter: LoraAdapter, where: string): number | null {
  const { tensors, targetModules } = adapter;
  const modules = modulesOf(adapter);
  if (modules.length === 0)
    throw new BertuneError('CHECKPOINT_INVALID', `Expected lora_A and lora_B tensors in ${where}`);
  const sizes = updateSizes(modules, adapter);
  for (const [i, module] of modules.entries()) {
    const { rank } = sizes[i]!;
    for (const [part, shape] of [
      ['lora_A.weight', [rank, null]],
      ['lora_B.weight', [null, rank]],
      ...(adapter.dora ? ([['lora_magnitude_vector', [null]]] as const) : []),
    ] as const) {
      const name = `${module}.${part}`;
      const tensor = tensors.get(name);
      if (!tensor)
        throw new BertuneError('CHECKPOINT_INVALID', `Expected tensor ${name} in ${where} but there is none`);
      checkParameter(name, tensor, [...shape], where);
    }
    if (!isChosen(module, choiceOf(adapter))) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected only the modules of target_modules (${targetModules.join(', ')}) in ${where} but found ` +
          `${module}.lora_A.weight`,
      );
    }
  }
  return checkHead(tensors, null, where);
}

/** The base model's name of a tensor, or null for PEFT's copy of the untrained head. */
function adapterName(inFile: string, where: string): string | null {
  if (!inFile.startsWith(PREFIX)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected names that start with ${PREFIX} in ${where}, found ${inFile}`,
    );
  }
  return plainName(inFile.slice(PREFIX.length))?.replace(/\.base_layer\.bias$/, '.bias') ?? null;
}

/**
 * Which modules are updated. An expression, or layers by a pattern, become the full names of the modules that the file holds
 * and that are selected.
 *
 * @param modules names in the file
 */
function readChoice(settings: AdapterSettings, modules: ReadonlySet<string>, where: string): ModuleChoice {
  const value = settings.value('target_modules');
  const [excluded, layers] = [settings.value('exclude_modules') ?? [], settings.value('layers_to_transform') ?? null];
  const byPattern = settings.value('layers_pattern') ?? [];
  const exclude = typeof excluded === 'string' ? [] : excluded;
  if (!isNames(exclude)) throw settings.invalid('exclude_modules', 'a list of names or a regular expression');
  const numbers = typeof layers === 'number' ? [layers] : layers;
  if (
    numbers !== null &&
    !(Array.isArray(numbers) && numbers.every((layer) => Number.isSafeInteger(layer) && layer >= 0))
  ) {
    throw settings.invalid('layers_to_transform', 'numbers of layers');
  }
  if (typeof value === 'string')
    return { targets: matchPattern(value, [...modules], where), layers: null, exclude: [] };
  if (!isNames(value) || value.length === 0) {
    throw settings.invalid('target_modules', 'a list of names or a regular expression');
  }
  const hasPattern = typeof excluded === 'string' || (numbers !== null && (byPattern as unknown[]).length > 0);
  return hasPattern
    ? { targets: [...modules], layers: null, exclude: [] }
    : { targets: value, layers: numbers?.length === 0 ? null : numbers, exclude };
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

import type { ModelConfig } from '../architectures/index.js';
import { byName, linearWeights } from '../architectures/rows.js';
import { lowRankRows, moduleOf } from '../architectures/table.js';
import { checkParameter } from '../checkpoint/check.js';
import { canonicalName } from '../checkpoint/names.js';
import { BertuneError } from '../errors.js';
import { expectNumberInRange, expectPositiveInteger, invalidOption } from '../options.js';
import type { Safetensors, Tensor } from '../safetensors.js';
import { baseMetadata, readBaseKind } from './base.js';
import { adapterMetadata, checkHead, isInHead, readLabels, readPairs, readTask } from './head.js';
import type { AdapterSettings } from './settings.js';
import { ALL_LINEAR, matchesTarget, matchPattern } from './targets.js';
import type { LoraAdapter } from './types.js';

/** What PEFT puts in front of the base model's names. */
const PREFIX = 'base_model.model.';

const FACTOR = /^(.+)\.lora_([AB])\.weight$/;

/** Reads what PEFT saved of a LoRA. Errors as readAdapter. */
export function readLora(settings: AdapterSettings, file: Safetensors, where: string): LoraAdapter {
  settings.refuseUnknown(['peft_type', 'r', 'lora_alpha', 'lora_dropout', 'target_modules']);
  const tensors = new Map<string, Tensor>();
  const modules = new Set<string>();
  for (const [inFile, tensor] of file.tensors) {
    const name = adapterName(inFile, where);
    if (name === null) continue;
    tensors.set(name, tensor);
    const module = FACTOR.exec(name)?.[1];
    if (module !== undefined) modules.add(module);
    else if (!isInHead(name)) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected only lora_A, lora_B and classifier tensors in ${where} but found ${inFile}`,
      );
    }
  }
  const adapter: LoraAdapter = {
    kind: 'lora',
    rank: settings.positiveInteger('r'),
    alpha: settings.number('lora_alpha', undefined, 'a number', Number.isFinite),
    dropout: settings.number('lora_dropout', 0, 'a number from 0 to below 1', (value) => value >= 0 && value < 1),
    targetModules: readTargets(settings, modules, where),
    baseModel: settings.text('base_model_name_or_path'),
    baseKind: readBaseKind(file.metadata),
    baseRevision: settings.text('revision'),
    tensors,
  };
  adapter.labels = readLabels(file.metadata, checkLora(adapter, where), where);
  adapter.pairs = readPairs(file.metadata, where);
  Object.assign(adapter, readTask(file.metadata, where));
  return adapter;
}

/** adapter_config.json and the file's tensors and metadata. Errors as writeAdapter. */
export function formatLora(adapter: LoraAdapter): { settings: Record<string, unknown>; file: Safetensors } {
  expectPositiveInteger('rank', adapter.rank);
  expectNumberInRange('alpha', adapter.alpha, {});
  expectNumberInRange('dropout', adapter.dropout, { min: 0, max: 1, maxExclusive: true });
  const targets = adapter.targetModules;
  if (!Array.isArray(targets) || targets.length === 0) {
    throw invalidOption('targetModules', 'an array of names of modules', targets);
  }
  const metadata = adapterMetadata(adapter, checkLora(adapter, 'what is to be written'));
  return {
    settings: {
      auto_mapping: null,
      base_model_name_or_path: adapter.baseModel,
      bias: 'none',
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: true,
      layers_pattern: null,
      layers_to_transform: null,
      lora_alpha: adapter.alpha,
      lora_dropout: adapter.dropout,
      modules_to_save: ['classifier', 'score'],
      peft_type: 'LORA',
      r: adapter.rank,
      revision: adapter.baseRevision ?? null,
      target_modules: targets.includes(ALL_LINEAR) ? lastNames(adapter.tensors.keys()) : [...targets],
      task_type: 'SEQ_CLS',
    },
    file: {
      tensors: new Map([...adapter.tensors].map(([name, tensor]) => [`${PREFIX}${name}`, tensor])),
      metadata: { ...metadata, ...baseMetadata(adapter.baseKind) },
    },
  };
}

/** The last parts of the names of modules with an update, which every PEFT version takes for all of them. */
function lastNames(names: Iterable<string>): string[] {
  const modules = [...names].flatMap((name) => FACTOR.exec(name)?.[1] ?? []);
  return [...new Set(modules.map((module) => module.split('.').at(-1)!))].sort();
}

/** Checks a LoRA against the model that it is to go on. Errors as checkAdapter. */
export function fitLora(given: LoraAdapter, config: ModelConfig): LoraAdapter {
  const where = 'the LoRA adapter';
  const tensors = new Map([...given.tensors].map(([name, tensor]) => [canonicalName(name, config), tensor] as const));
  const adapter = { ...given, tensors };
  const targeted = linearWeights(config).filter((weight) => {
    return adapter.targetModules.some((target) => matchesTarget(moduleOf(weight), target));
  });
  const expected = byName(targeted.flatMap((weight) => lowRankRows(weight, adapter.rank)));
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
  for (const name of adapter.tensors.keys()) {
    if (!expected.has(name) && FACTOR.test(name)) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected only modules of a model of ${config.layers} layers in ${where} but found ${name}`,
      );
    }
  }
  checkHead(adapter.tensors, config.hiddenSize, where);
  return adapter;
}

/**
 * What can be checked without the base model: both factors of each module, their rank, the head.
 *
 * @returns the number of classes, or null where there is no head
 */
function checkLora(adapter: LoraAdapter, where: string): number | null {
  const { rank, tensors, targetModules } = adapter;
  let factors = 0;
  for (const [name, tensor] of tensors) {
    const [, module, factor] = FACTOR.exec(name) ?? [];
    if (module === undefined) continue;
    factors++;
    checkParameter(name, tensor, factor === 'A' ? [rank, null] : [null, rank], where);
    const other = `${module}.lora_${factor === 'A' ? 'B' : 'A'}.weight`;
    if (!tensors.has(other)) {
      throw new BertuneError('CHECKPOINT_INVALID', `Expected tensor ${other} in ${where} but there is none`);
    }
    if (!targetModules.some((target) => matchesTarget(module, target))) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected only the modules of target_modules (${targetModules.join(', ')}) in ${where} but found ${name}`,
      );
    }
  }
  if (factors === 0) throw new BertuneError('CHECKPOINT_INVALID', `Expected lora_A and lora_B tensors in ${where}`);
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
  if (inFile.includes('.original_module.')) return null;
  return inFile
    .slice(PREFIX.length)
    .replace('.modules_to_save.', '.')
    .replace(/\.default\.(?=weight$|bias$)/, '.');
}

/**
 * target_modules as a list of names. A string (an expression, or 'all-linear') becomes the full names of the modules it
 * selects among those that the file holds.
 *
 * @param modules names in the file
 */
function readTargets(settings: AdapterSettings, modules: ReadonlySet<string>, where: string): string[] {
  const value = settings.value('target_modules');
  if (typeof value === 'string') return matchPattern(value, [...modules], where);
  if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === 'string')) {
    throw settings.invalid('target_modules', 'a list of names or a regular expression');
  }
  return value;
}

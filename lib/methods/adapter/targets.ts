import { runInNewContext } from 'node:vm';
import { architectureOf, type ModelConfig } from '../../architectures/index.js';
import { linearWeights, moduleOf, type ParameterRow } from '../../architectures/rows.js';
import { BertuneError } from '../../errors.js';
import { option } from '../../options/names.js';
import { invalidOption, nearest } from '../../options/validation.js';
import type { LoraShape, ModulePattern } from './types.js';

/** What PEFT calls all Linear modules but the head. */
export const ALL_LINEAR = 'all-linear';

/** Longest time that a pattern from a file may take, in milliseconds: some take exponential time. */
const PATTERN_MS = 250;

/** PEFT's rule for a list of names: the full name, or its last parts. */
function isNamed(module: string, name: string): boolean {
  return module === name || module.endsWith(`.${name}`);
}

/** Modules as PEFT chooses them. */
export interface ModuleChoice {
  targets: readonly string[];
  /** null: all. */
  layers: readonly number[] | null;
  exclude: readonly string[];
}

/** Whether a target is about a module, wherever that is. */
function isTarget(module: string, target: string): boolean {
  return target === ALL_LINEAR || isNamed(module, target);
}

/** Those of the targets that are about one of the modules at least; PEFT passes over the others, such as a head's. */
export function knownTargets(targets: readonly string[], modules: readonly string[]): string[] {
  return targets.filter((target) => modules.some((module) => isTarget(module, target)));
}

/** PEFT's rule (`check_target_module_exists`): a module that is named in full is chosen whatever its layer. */
export function isChosen(module: string, { targets, layers, exclude }: ModuleChoice): boolean {
  if (exclude.some((name) => isNamed(module, name))) return false;
  if (targets.includes(module)) return true;
  if (!targets.some((target) => isTarget(module, target))) return false;
  if (layers === null || layers.length === 0) return true;
  const layer = /^.*?\.[^.]*\.(\d+)\./.exec(module)?.[1];
  return layer !== undefined && layers.includes(Number(layer));
}

/**
 * The values that a pattern has for modules: of its expressions the first counts that matches a name's last parts, as in
 * PEFT's `get_pattern_key`.
 *
 * @throws BertuneError CHECKPOINT_INVALID for an expression that JavaScript cannot read or that takes too long
 */
export function patternValues(pattern: ModulePattern, modules: readonly string[]): Map<string, number> {
  const values = new Map<string, number>();
  for (const [expression, value] of Object.entries(pattern)) {
    const left = modules.filter((module) => !values.has(module));
    for (const module of matching(`^(?:.*\\.)?(?:${expression})$`, left)) values.set(module, value);
  }
  return values;
}

/** The ranks and the scalings of modules' updates. */
export function updateSizes(modules: readonly string[], shape: LoraShape): { rank: number; scaling: number }[] {
  const ranks = patternValues(shape.rankPattern ?? {}, modules);
  const alphas = patternValues(shape.alphaPattern ?? {}, modules);
  return modules.map((module) => {
    const [rank, alpha] = [ranks.get(module) ?? shape.rank, alphas.get(module) ?? shape.alpha];
    return { rank, scaling: alpha / (shape.rslora ? Math.sqrt(rank) : rank) };
  });
}

/**
 * The weights of the encoder's Linear modules that are chosen, in the order of the model. A target matches a module whose
 * full name it is or ends with, after a dot (PEFT's rule); 'all-linear' matches every one.
 *
 * @param choice e.g. of the targets ['query', 'value'] or ['attention.output.dense']
 * @throws BertuneError INVALID_OPTION listing the modules where a name matches none, and where nothing is left
 */
export function resolveTargets(choice: ModuleChoice, config: ModelConfig): ParameterRow[] {
  const { targets, exclude } = choice;
  const isNames = Array.isArray(targets) && targets.length > 0 && targets.every((item) => typeof item === 'string');
  if (!isNames) throw invalidOption('targets', 'an array of names of modules', targets);
  const weights = linearWeights(config);
  const modules = weights.map(moduleOf);
  expectModules('targets', targets, modules, config);
  expectModules('exclude', exclude, modules, config);
  const stray = choice.layers?.find((layer) => layer >= config.layers);
  if (stray !== undefined) throw invalidOption('layers', `layers from 0 to ${config.layers - 1}`, stray);
  const chosen = weights.filter((weight) => isChosen(moduleOf(weight), choice));
  if (chosen.length > 0) return chosen;
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('layers')} and ${option('exclude')} leave no module of ${option('targets')} to train`,
  );
}

function expectModules(name: string, names: readonly string[], modules: readonly string[], config: ModelConfig): void {
  const { layers, prefix } = architectureOf(config);
  const inModel = [`${layers}.`, `${prefix}.`];
  for (const wanted of names) {
    if (modules.some((module) => (name === 'targets' ? isTarget : isNamed)(module, wanted))) continue;
    const known = [...new Set(modules.map((module) => shortName(module, inModel)))];
    const near = nearest(wanted, [...known, ...known.map((each) => each.split('.').at(-1)!)]);
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected a Linear module of the model's ${config.layers} layers for ${option(name)} but received "${wanted}"` +
        `${near === undefined ? '' : ` (did you mean ${near}?)`}; the modules are ${known.join(', ')}, or ${ALL_LINEAR} ` +
        'for every one',
    );
  }
}

/** A module's name without the parts that all layers share. */
function shortName(module: string, prefixes: readonly string[]): string {
  const prefix = prefixes.find((start) => module.startsWith(start)) ?? '';
  return module.slice(prefix.length).replace(/^\d+\./, '');
}

/**
 * Which of the modules a target_modules that is one string selects: all for 'all-linear', otherwise those whose full
 * name the regular expression matches from end to end, or that the plain name matches as in a list.
 *
 * @throws BertuneError CHECKPOINT_INVALID for an expression that JavaScript cannot read or that takes too long
 */
export function matchPattern(pattern: string, modules: readonly string[], where: string): string[] {
  if (pattern === ALL_LINEAR) return [...modules];
  if (/^[\w.]+$/.test(pattern)) {
    const named = modules.filter((module) => isNamed(module, pattern));
    if (named.length > 0) return named;
  }
  return matching(`^(?:${pattern})$`, modules, ` for target_modules in ${where}`);
}

/** The names that an expression of a file's or a caller's matches. */
function matching(pattern: string, names: readonly string[], where = ''): string[] {
  try {
    const expression = new RegExp(pattern.replaceAll('(?P<', '(?<'), 'u');
    // In another context for the sake of its timeout alone.
    return runInNewContext(
      'names.filter((name) => expression.test(name))',
      { expression, names },
      { timeout: PATTERN_MS },
    );
  } catch (cause) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected a list of names or a regular expression${where} but ${JSON.stringify(pattern)} cannot be used: ` +
        (cause as Error).message,
      { cause },
    );
  }
}

import { runInNewContext } from 'node:vm';
import type { ModelConfig } from '../architectures/index.js';
import { architectureOf } from '../architectures/index.js';
import { linearWeights } from '../architectures/rows.js';
import { moduleOf, type ParameterRow } from '../architectures/table.js';
import { BertuneError } from '../errors.js';
import { option } from '../option-names.js';
import { invalidOption, nearest } from '../options.js';

/** What PEFT calls all Linear modules but the head. */
export const ALL_LINEAR = 'all-linear';

/** Longest time that a pattern from a file may take, in milliseconds: some take exponential time. */
const PATTERN_MS = 250;

/** PEFT's rule for a list of targets: the full name, or its last parts. */
export function matchesTarget(module: string, target: string): boolean {
  return target === ALL_LINEAR || module === target || module.endsWith(`.${target}`);
}

/**
 * The weights of the encoder's Linear modules that the targets match, in the order of the model. A target matches a module
 * whose full name it is or ends with, after a dot (PEFT's rule); 'all-linear' matches every one.
 *
 * @param targets e.g. ['query', 'value'] or ['attention.output.dense']
 * @throws BertuneError INVALID_OPTION listing the modules where a target matches none
 */
export function resolveTargets(targets: readonly string[], config: ModelConfig): ParameterRow[] {
  const names = Array.isArray(targets) && targets.length > 0 && targets.every((item) => typeof item === 'string');
  if (!names) throw invalidOption('targets', 'an array of names of modules', targets);
  const weights = linearWeights(config);
  const modules = weights.map(moduleOf);
  const { layers, prefix } = architectureOf(config);
  const inModel = [`${layers}.`, `${prefix}.`];
  for (const target of targets) {
    if (modules.some((module) => matchesTarget(module, target))) continue;
    const known = [...new Set(modules.map((module) => shortName(module, inModel)))];
    const near = nearest(target, [...known, ...known.map((name) => name.split('.').at(-1)!)]);
    throw new BertuneError(
      'INVALID_OPTION',
      `Expected a Linear module of the model's ${config.layers} layers for ${option('targets')} but received "${target}"` +
        `${near === undefined ? '' : ` (did you mean ${near}?)`}; the modules are ${known.join(', ')}, or ${ALL_LINEAR} ` +
        'for every one',
    );
  }
  return weights.filter((weight) => targets.some((target) => matchesTarget(moduleOf(weight), target)));
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
    const named = modules.filter((module) => matchesTarget(module, pattern));
    if (named.length > 0) return named;
  }
  try {
    const expression = new RegExp(`^(?:${pattern})$`, 'u');
    // In another context for the sake of its timeout alone.
    const select = 'modules.filter((module) => expression.test(module))';
    return runInNewContext(select, { expression, modules }, { timeout: PATTERN_MS });
  } catch (cause) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected a list of names or a regular expression for target_modules in ${where} but ${JSON.stringify(pattern)} ` +
        `cannot be used: ${(cause as Error).message}`,
      { cause },
    );
  }
}

import type { Command } from 'commander';
import { type Adapter, isAdapter, readAdapter } from '../adapter.js';
import { BertuneError } from '../errors.js';
import type { FindOptions } from '../hub.js';
import { modelDirectory } from '../hub.js';
import { full, linear, lora, METHOD_KINDS, type Method, type MethodKind, prefix } from '../methods.js';
import { choice, given, names, number, positiveInteger } from './arguments.js';

/** What the options about the method say. */
export interface MethodArguments {
  method?: MethodKind;
  adapter?: string;
  rank?: number;
  alpha?: number;
  loraDropout?: number;
  targets?: string[];
  virtualTokens?: number;
  /** commander sets the positive of a `--no-` option. */
  projection: boolean;
  trainHead: boolean;
  probeDropout?: number;
  freeze?: string[];
}

const PROBABILITY = { min: 0, max: 1, maxExclusive: true };

/** Adds the options about the method. */
export function addMethodOptions(command: Command): Command {
  return command
    .optionsGroup('Method:')
    .addOption(choice('--method <name>', 'how to train (default: full, or as the adapter was)', METHOD_KINDS))
    .option('--adapter <adapter>', 'go on with this LoRA or prefix adapter on the model')
    .addOption(positiveInteger('--rank <n>', 'LoRA: rank (default: 8)'))
    .addOption(
      number('--alpha <x>', 'LoRA: scale, times 1/rank (default: 4 times the rank)', { min: 0, minExclusive: true }),
    )
    .addOption(number('--lora-dropout <p>', 'LoRA: dropout (default: 0.1)', PROBABILITY))
    .addOption(names('--targets <names>', 'LoRA: modules, or all-linear (default: query,value)'))
    .addOption(positiveInteger('--virtual-tokens <n>', 'prefix: virtual tokens (default: 20)'))
    .option('--no-projection', 'prefix: train keys and values directly, without a network')
    .option('--no-train-head', 'prefix, LoRA: leave the classifier as it is')
    .addOption(number('--probe-dropout <p>', 'linear: dropout inside the head (default: 0.2)', PROBABILITY))
    .addOption(names('--freeze <names>', 'full: parts of the model that stay frozen, e.g. embeddings,encoder.layer.0'));
}

/** Every option of one method alone: its flag, and the methods that take it. */
const FLAGS: readonly [keyof MethodArguments, string, readonly MethodKind[]][] = [
  ['rank', '--rank', ['lora']],
  ['alpha', '--alpha', ['lora']],
  ['loraDropout', '--lora-dropout', ['lora']],
  ['targets', '--targets', ['lora']],
  ['virtualTokens', '--virtual-tokens', ['prefix']],
  ['projection', '--no-projection', ['prefix']],
  ['trainHead', '--no-train-head', ['prefix', 'lora']],
  ['probeDropout', '--probe-dropout', ['linear']],
  ['freeze', '--freeze', ['full']],
];

/**
 * The method that the arguments ask for. Going on with an adapter, it is the adapter's own, but for what is given.
 *
 * @param model directory of the model, which may be an adapter's
 * @param find how an adapter is fetched that lies on the hub
 * @throws BertuneError INVALID_OPTION for an option of another method, or a method that is not the adapter's; those of
 *   readAdapter
 */
export async function methodOf(options: MethodArguments, model: string, find: FindOptions = {}): Promise<Method> {
  const named = options.adapter === undefined ? undefined : await modelDirectory(options.adapter, find);
  const directory = named ?? ((await isAdapter(model)) ? model : undefined);
  const adapter = directory === undefined ? undefined : await readAdapter(directory);
  const kind = options.method ?? adapter?.kind ?? 'full';
  if (adapter !== undefined && adapter.kind !== kind) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${options.adapter ?? directory} is a ${adapter.kind} adapter, which goes on with --method ${adapter.kind}, not ${kind}`,
    );
  }
  for (const [option, flag, kinds] of FLAGS) {
    const value = options[option];
    if (value === undefined || value === true || kinds.includes(kind)) continue;
    throw new BertuneError(
      'INVALID_OPTION',
      `${flag} is an option of --method ${kinds.join(' and ')}, but the method is ${kind}`,
    );
  }
  return create(kind, options, adapter);
}

function create(kind: MethodKind, options: MethodArguments, adapter: Adapter | undefined): Method {
  const { rank, alpha, targets, virtualTokens, trainHead } = options;
  const before = adapter && settingsOf(adapter);
  switch (kind) {
    case 'full':
      return full(given({ freeze: options.freeze }));
    case 'linear':
      return linear(given({ dropout: options.probeDropout }));
    case 'prefix':
      return prefix({ projection: options.projection, trainHead, ...before, ...given({ virtualTokens }) });
    case 'lora':
      return lora({ trainHead, ...before, ...given({ rank, alpha, targets, dropout: options.loraDropout }) });
  }
}

/** The options with which an adapter goes on. Its file holds no projection network any more. */
function settingsOf(adapter: Adapter): object {
  if (adapter.kind === 'prefix') return { virtualTokens: adapter.virtualTokens, projection: false };
  const { rank, alpha, dropout, targetModules } = adapter;
  return { rank, alpha, dropout, targets: targetModules };
}

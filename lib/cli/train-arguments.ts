import { join, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { BertuneError } from '../errors.js';
import { TRAINING_ROWS_FILE } from '../experiments/training-rows.js';
import { lstat, readdir } from '../files/fs.js';
import { LOCK_FILE } from '../files/lock.js';
import { type FindOptions, modelDirectory } from '../hub/index.js';
import { formatOf, isAdapter, readAdapter } from '../methods/adapter/files.js';
import { definitionOf, expectMethod, METHOD_KINDS, type Method, type MethodKind } from '../methods/index.js';
import type { OptionRow } from '../options/table.js';
import { checkpointSteps } from '../training/checkpoint/directories.js';
import { TRAINER_OPTIONS } from '../training/options.js';
import { STATE_FILE } from '../training/state.js';
import { choice } from './arguments.js';
import { addRows, rowOption, rowOptions, rowValues } from './flags.js';

/** What the options about the method say, beside those of each method. */
export interface MethodArguments {
  method?: MethodKind;
  adapter?: string;
}

/** A flag of one method alone, or of several that have the same. */
export interface MethodFlag {
  name: string;
  row: OptionRow<unknown, unknown>;
  kinds: MethodKind[];
}

/** Every flag of a method's own options. */
export function methodFlags(): MethodFlag[] {
  const flags = new Map<string, MethodFlag>();
  for (const kind of METHOD_KINDS) {
    const { options } = definitionOf(kind);
    for (const { name, option } of rowOptions(options)) {
      const found = flags.get(option.long!);
      if (found) found.kinds.push(kind);
      else flags.set(option.long!, { name, row: options[name]!, kinds: [kind] });
    }
  }
  return [...flags.values()];
}

/** Adds the options about the method. */
export function addMethodOptions(command: Command): Command {
  command
    .optionsGroup('Method:')
    .addOption(choice('--method <name>', "how to train (default: full, or the adapter's own)", METHOD_KINDS))
    .option('--adapter <adapter>', 'continue with this LoRA or prefix adapter on top of the model');
  for (const { name, row, kinds } of methodFlags()) {
    const labels = kinds.map((kind) => definitionOf(kind).label).join(', ');
    command.addOption(rowOption(name, { ...row, words: `${labels}: ${row.words}` }));
  }
  return command;
}

/**
 * The method that the arguments ask for. Going on with an adapter, it is the adapter's own, but for what is given.
 *
 * @param model directory of the model, which may be an adapter's
 * @param find how an adapter is fetched that lies on the hub
 * @throws BertuneError INVALID_OPTION for an option of another method, or a method that is not the adapter's; those of
 *   readAdapter
 */
export async function methodOf(args: MethodArguments, model: string, find: FindOptions = {}): Promise<Method> {
  const named = args.adapter === undefined ? undefined : await modelDirectory(args.adapter, find);
  const directory = named ?? ((await isAdapter(model)) ? model : undefined);
  const adapter = directory === undefined ? undefined : await readAdapter(directory);
  const kind = args.method ?? adapter?.kind ?? 'full';
  if (adapter !== undefined && adapter.kind !== kind) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${args.adapter ?? directory} is a ${adapter.kind} adapter, which continues with --method ${adapter.kind}, not ${kind}`,
    );
  }
  for (const { name, row, kinds } of methodFlags()) {
    if (kinds.includes(kind) || !(name in rowValues({ [name]: row }, args))) continue;
    throw new BertuneError(
      'INVALID_OPTION',
      `${rowOption(name, row).long} is an option of --method ${kinds.join(' and ')}, but the method is ${kind}`,
    );
  }
  const { kind: _, ...before } = adapter === undefined ? { kind } : formatOf(adapter).methodOf(adapter);
  return expectMethod('method', { kind, ...before, ...rowValues(definitionOf(kind).options, args) });
}

/** What the options about checkpoints say, beside those of a Trainer. */
export interface CheckpointArguments {
  output: string;
  /** true: without a directory. */
  resume?: string | true;
}

/** Adds the options about checkpoints. */
export function addCheckpointOptions(command: Command): Command {
  return addRows(command, TRAINER_OPTIONS, 'Checkpoints').option(
    '--resume [dir]',
    'continue from a checkpoint of the same run: this one, or the latest in --output, if there is one; with more --epochs ' +
      'or --max-steps the run becomes longer',
  );
}

/** What Trainer.train is to resume; undefined: nothing. */
export function resumeOf({ resume }: CheckpointArguments): string | undefined {
  return resume === true ? 'latest' : resume;
}

/**
 * Checks that --output holds no finished run without checkpoints, which --resume would go on from.
 *
 * @throws BertuneError NOT_FOUND
 */
export async function expectResumable(options: CheckpointArguments): Promise<void> {
  const { output } = options;
  if (resumeOf(options) !== 'latest' || (await checkpointSteps(output)).length > 0) return;
  const state = await lstat(join(output, STATE_FILE)).catch(() => null);
  if (state === null) return;
  throw new BertuneError(
    'NOT_FOUND',
    `There is no checkpoint in ${output}, only the model that its run ended with. Train that one further with ` +
      `--model ${output} --output ANOTHER, or start again with --overwrite; --save-strategy epoch keeps checkpoints`,
  );
}

/** Whether a directory holds nothing but what a run writes before its first checkpoint. */
async function isBegun(directory: string): Promise<boolean> {
  const names: string[] = await readdir(directory).catch(() => []);
  const own = [TRAINING_ROWS_FILE, LOCK_FILE];
  return names.includes(TRAINING_ROWS_FILE) && names.every((name) => own.includes(name));
}

/** Whether --output is where the run that goes on had begun: then it may hold files. */
export async function continuesInOutput(options: CheckpointArguments): Promise<boolean> {
  const resume = resumeOf(options);
  if (resume === undefined) return false;
  if (resume === 'latest') return (await checkpointSteps(options.output)).length > 0 || (await isBegun(options.output));
  const output = resolve(options.output);
  return resolve(resume) === output || resolve(resume).startsWith(output + sep);
}

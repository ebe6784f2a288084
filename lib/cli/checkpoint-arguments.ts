import { join, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { BertuneError } from '../errors.js';
import { lstat } from '../files/fs.js';
import { checkpointSteps } from '../training/checkpoint/directories.js';
import { STATE_FILE } from '../training/checkpoint/trainer-state.js';
import { SAVE_STRATEGIES, type SaveStrategy, type TrainerOptions } from '../training/options.js';
import { choice, given, positiveInteger } from './arguments.js';

/** What the options about checkpoints say. */
export interface CheckpointArguments {
  output: string;
  saveStrategy?: SaveStrategy | undefined;
  saveSteps?: number | undefined;
  saveTotalLimit?: number | undefined;
  /** true: without a directory. */
  resume?: string | true;
}

/** Adds the options about checkpoints. */
export function addCheckpointOptions(command: Command): Command {
  return command
    .optionsGroup('Checkpoints:')
    .addOption(choice('--save-strategy <when>', 'when to save a checkpoint in --output (default: no)', SAVE_STRATEGIES))
    .addOption(
      positiveInteger('--save-steps <n>', 'steps between checkpoints, with --save-strategy steps (default: 500)'),
    )
    .addOption(positiveInteger('--save-total-limit <n>', "checkpoints to keep, beside the best epoch's (default: all)"))
    .option(
      '--resume [dir]',
      'go on from a checkpoint of the same run: this one, or the latest in --output, where there is one; with more --epochs ' +
        'or --max-steps the run becomes longer',
    );
}

/** The options of a Trainer that the arguments ask for. A run that is stopped leaves a checkpoint whatever they say. */
export function savingOptions(options: CheckpointArguments): Omit<TrainerOptions, 'method'> {
  return {
    outputDirectory: options.output,
    ...given({
      saveStrategy: options.saveStrategy,
      saveSteps: options.saveSteps,
      saveTotalLimit: options.saveTotalLimit,
    }),
  };
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

/** Whether --output is where the run that goes on had begun: then it may hold files. */
export async function continuesInOutput(options: CheckpointArguments): Promise<boolean> {
  const resume = resumeOf(options);
  if (resume === undefined) return false;
  if (resume === 'latest') return (await checkpointSteps(options.output)).length > 0;
  const output = resolve(options.output);
  return resolve(resume) === output || resolve(resume).startsWith(output + sep);
}

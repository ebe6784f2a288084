import { resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { checkpointSteps } from '../training/checkpoint/directories.js';
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
      'go on from a checkpoint of the same run: this one, or the latest in --output, where there is one',
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

/** Whether --output is where the run that goes on had begun: then it may hold files. */
export async function continuesInOutput(options: CheckpointArguments): Promise<boolean> {
  const resume = resumeOf(options);
  if (resume === undefined) return false;
  if (resume === 'latest') return (await checkpointSteps(options.output)).length > 0;
  const output = resolve(options.output);
  return resolve(resume) === output || resolve(resume).startsWith(output + sep);
}

import { join, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { BertuneError } from '../errors.js';
import { lstat } from '../files/fs.js';
import { checkpointSteps } from '../training/checkpoint/directories.js';
import { TRAINER_OPTIONS } from '../training/options.js';
import { STATE_FILE } from '../training/state.js';
import { addRows } from './rows.js';

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
    'go on from a checkpoint of the same run: this one, or the latest in --output, where there is one; with more --epochs ' +
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

/** Whether --output is where the run that goes on had begun: then it may hold files. */
export async function continuesInOutput(options: CheckpointArguments): Promise<boolean> {
  const resume = resumeOf(options);
  if (resume === undefined) return false;
  if (resume === 'latest') return (await checkpointSteps(options.output)).length > 0;
  const output = resolve(options.output);
  return resolve(resume) === output || resolve(resume).startsWith(output + sep);
}

import type { Command } from 'commander';
import { sweepMergeCommand } from './sweep/merge.js';
import { sweepPlanCommand } from './sweep/plan.js';
import { sweepRunCommand } from './sweep/run.js';
import { sweepStatusCommand } from './sweep/status.js';

/** Adds `bertune sweep`, with its commands. */
export function sweepCommand(program: Command): void {
  const sweep = program
    .command('sweep')
    .description('train with many settings, on one machine or many, and compare them')
    .helpCommand(false);
  for (const add of [sweepPlanCommand, sweepRunCommand, sweepStatusCommand, sweepMergeCommand]) add(sweep);
}

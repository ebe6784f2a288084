import type { Command } from 'commander';
import { Ledger } from '../../experiments/sweep/ledger.js';
import { outcomeOf } from '../../experiments/sweep/outcome.js';
import { readPlan } from '../../experiments/sweep/plan.js';
import { withDirectoryLock } from '../../files/lock.js';
import { expectFilePlaces } from '../../files/output.js';
import { printableJson } from '../../printable.js';
import { COMPARISON_FILES, writeComparison } from '../../report/results.js';
import { closingSections } from '../../report/sections.js';
import { interruptibly } from '../exit.js';
import { Progress } from '../progress.js';
import { sectionsText, writeResult } from '../terminal.js';
import { LEASE_SECONDS } from './run.js';

interface MergeArguments {
  quiet?: true;
  json?: true;
}

/** Adds `bertune sweep merge`. */
export function sweepMergeCommand(sweep: Command): void {
  sweep
    .command('merge')
    .description('compare the finished cells, even while others still run')
    .argument('<folder>', 'folder of the sweep, where results.json, .csv, .md and report.html go')
    .option('--quiet', 'print only errors to stderr')
    .option('--json', 'write results.json to stdout instead of a table')
    .action(merge);
}

async function merge(folder: string, options: MergeArguments): Promise<void> {
  const progress = new Progress({ quiet: options.quiet ?? false });
  await interruptibly(progress, async () => {
    const plan = await readPlan(folder);
    const ledger = await Ledger.open(folder, LEASE_SECONDS);
    const { comparison } = await outcomeOf(plan, ledger);
    await withDirectoryLock(folder, async () => {
      await expectFilePlaces(folder, COMPARISON_FILES);
      await writeComparison(folder, comparison);
    });
    await writeResult(options.json ? `${printableJson(comparison, 2)}\n` : sectionsText(closingSections(comparison)));
    progress.note(`saved ${COMPARISON_FILES.join(', ')} in ${folder}`);
  });
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { BertuneError } from '../../errors.js';
import type { DataSource } from '../../experiments/experiment.js';
import { Ledger } from '../../experiments/sweep/ledger.js';
import { makePlan } from '../../experiments/sweep/make-plan.js';
import { PLACES, PLAN_FILE, type SweepPlan, writePlan } from '../../experiments/sweep/plan.js';
import { isSeed } from '../../experiments/sweep/space.js';
import { withDirectoryLock } from '../../files/lock.js';
import { withOutputDirectory } from '../../files/output.js';
import { formatCount } from '../../format.js';
import { EMBEDDED_MODEL } from '../../hub/embedded.js';
import * as rows from '../../options/table.js';
import { summaryLines } from '../../report/run-lines.js';
import {
  addDataOptions,
  addDeviceOptions,
  choice,
  type DataArguments,
  type DeviceArguments,
  dataSource,
  datasetOptions,
  deviceOptions,
  names,
  positiveInteger,
  seedNumber,
} from '../arguments.js';
import { interruptibly } from '../exit.js';
import { downloadProgress, Progress } from '../progress.js';
import { writeResult } from '../terminal.js';
import { addSweepFlags, axesOf } from './options.js';
import { takeOptions } from './plan-file.js';
import { LEASE_SECONDS } from './run.js';

interface PlanArguments extends DataArguments, DeviceArguments, Readonly<Record<string, unknown>> {
  file?: string;
  model?: string[];
  random?: number;
  randomSeed?: number;
  stop?: 'median';
  grace?: number;
  overwrite?: true;
  quiet?: true;
}

/** Adds `bertune sweep plan`. */
export function sweepPlanCommand(sweep: Command): void {
  const command = sweep
    .command('plan')
    .description('plan a sweep: one cell for each combination of settings')
    .argument('<folder>', 'folder for the sweep')
    .option('--file <yaml>', 'settings as a YAML file: these flags without dashes, each with a value or a list')
    .addOption(names('--model <models>', `folders or Hugging Face ids of checkpoints (default: ${EMBEDDED_MODEL})`));
  addDataOptions(command, { training: true });
  addSweepFlags(command);
  addDeviceOptions(command)
    .optionsGroup('Sweep:')
    .addOption(positiveInteger('--random <n>', 'draw this many combinations, each with every seed (default: all)'))
    .addOption(seedNumber('--random-seed <n>', 'seed of the draw (default: 42)'))
    .addOption(
      choice('--stop <rule>', 'median: end a cell that is worse than the median of the others after an epoch', [
        'median',
      ]),
    )
    .addOption(positiveInteger('--grace <n>', 'epochs before --stop applies (default: 1)'))
    .option('--overwrite', 'write to the folder even if it is not empty')
    .option('--quiet', 'print only errors to stderr')
    .addHelpText(
      'after',
      '\nEvery setting of Method and Training, --model and --data take one value, several separated by commas, or a range of\n' +
        'numbers to draw from: --learning-rate 1e-5..1e-3 --random 20. A value that contains commas itself counts as one; put\n' +
        'a list of such values into a file.',
    )
    .action(plan);
}

async function plan(folder: string, _options: PlanArguments, command: Command): Promise<void> {
  const file = command.getOptionValue('file') as string | undefined;
  if (file !== undefined) await takeOptions(file, command);
  const options = command.opts<PlanArguments>();
  const progress = new Progress({ quiet: options.quiet ?? false });
  if (options.grace !== undefined && options.stop === undefined) {
    throw new BertuneError('INVALID_OPTION', '--grace only applies with --stop median; leave it out');
  }
  if (options.randomSeed !== undefined && options.random === undefined) {
    throw new BertuneError('INVALID_OPTION', '--random-seed only applies with --random; leave it out');
  }
  const axes = axesOf(options);
  await interruptibly(progress, async (signal) => {
    const overwrite = options.overwrite ?? false;
    await withOutputDirectory(folder, { overwrite, files: [PLAN_FILE] }, () =>
      withDirectoryLock(folder, async () => {
        if (overwrite && existsSync(join(folder, PLACES.leases))) {
          await (await Ledger.open(folder, LEASE_SECONDS)).expectIdle();
        }
        const made = await makePlan(
          {
            axes,
            models: options.model ?? [EMBEDDED_MODEL],
            sources: sourcesOf(options),
            dataset: datasetOptions(options),
            where: deviceOptions(options),
            grace: options.stop === undefined ? null : (options.grace ?? 1),
            random: options.random === undefined ? null : { count: options.random, seed: options.randomSeed ?? 42 },
          },
          { signal, onProgress: downloadProgress(progress) },
        );
        for (const { record } of made.data) {
          if (record.summary) for (const line of summaryLines(record.summary)) progress.note(line);
        }
        await writePlan(folder, made);
        await writeResult(planText(folder, made, axes.find(isSeed)?.values));
      }),
    );
  });
}

/** `--data` may name several; a path with commas in it is itself where it is there. */
function sourcesOf(options: PlanArguments): DataSource[] {
  const source = dataSource(options);
  if (source === undefined || (typeof source !== 'string' && source.train === undefined)) {
    throw new BertuneError('INVALID_OPTION', 'Name what to train on with --data or --train-file');
  }
  if (typeof source !== 'string') return [source];
  return existsSync(source) ? [source] : rows.readNames('--data', source);
}

function planText(folder: string, { cells, axes }: SweepPlan, seeds: unknown): string {
  const count = (name: string) =>
    new Set(cells.map(({ values }) => values[name]).filter((value) => value !== undefined)).size;
  const varied = axes.map((name) => `${name}: ${formatCount(count(name))}`);
  const all = [...varied, ...(Array.isArray(seeds) && seeds.length > 1 ? [`seed: ${seeds.length}`] : [])];
  const what = cells.length === 1 ? '1 cell' : `${formatCount(cells.length)} cells`;
  return `${what} in ${join(folder, PLAN_FILE)}${all.length === 0 ? '' : ` (values of ${all.join(', ')})`}\n`;
}

import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { BertuneError } from '../errors.js';
import { comparedWords, comparisonExperiments, type Overrides, settle } from '../experiments/comparison.js';
import { sourceWords } from '../experiments/experiment.js';
import { prepareData } from '../experiments/prepare.js';
import { PRESET_NAMES, PRESETS, type PresetName } from '../experiments/presets.js';
import { togetherGroups } from '../experiments/together.js';
import { lstat } from '../files/fs.js';
import { withDirectoryLock } from '../files/lock.js';
import { withOutputDirectory } from '../files/output.js';
import { definitionOf, METHOD_KINDS, type MethodKind } from '../methods/index.js';
import { resolveDevice } from '../model/device.js';
import { printableJson } from '../printable.js';
import { environmentLine, environmentRecord } from '../report/environment.js';
import type { ComparisonRecord, RunRecord } from '../report/records.js';
import { COMPARISON_FILES, writeComparison } from '../report/results.js';
import { summaryLines } from '../report/run-lines.js';
import { beforeSection, closingSections, runSection } from '../report/sections.js';
import { throwIfAborted } from '../time-slice.js';
import { TRAINER_OPTIONS } from '../training/options.js';
import {
  addDataOptions,
  addDeviceOptions,
  choice,
  type DataArguments,
  type DeviceArguments,
  dataSource,
  datasetOptions,
  deviceOptions,
  given,
  mistakesOf,
  NO_TEXTS,
  names,
} from './arguments.js';
import { EXIT_ERROR, interruptibly } from './exit.js';
import { rowOption } from './flags.js';
import { downloadProgress, Progress } from './progress.js';
import { runEach } from './runs.js';
import { sectionsText, writeResult } from './terminal.js';

/** The methods that have a learning rate. */
const RATED_KINDS = METHOD_KINDS.filter((kind) => !definitionOf(kind).isFitted);

/** The name of the learning rate for a kind of method, e.g. `learningRateLora`. */
const rateOf = (kind: MethodKind) => `learningRate${kind.charAt(0).toUpperCase()}${kind.slice(1)}` as RateName;

type RateName = `learningRate${Capitalize<MethodKind>}`;

interface CompareArguments extends DataArguments, DeviceArguments, Partial<Record<RateName, number>> {
  preset: PresetName;
  model?: string;
  base?: string;
  methods?: string[];
  epochs?: number;
  batchSize?: number;
  weightDecay?: number;
  seed?: number;
  learningRate?: number;
  output?: string;
  tensorboard?: string;
  together?: true;
  texts: boolean;
  overwrite?: true;
  quiet?: true;
  json?: true;
}

/** Adds `bertune compare`. */
export function compareCommand(program: Command): void {
  const command = program
    .command('compare')
    .description('train with several methods, each in its own process, and compare the results')
    .addOption(
      choice(
        '--preset <name>',
        'quick: settings chosen by method, model and data; notebook: the fixed settings of the notebook',
        PRESET_NAMES,
      ).default('quick'),
    )
    .option('--model <model>', "folder or Hugging Face id of a checkpoint (default: the preset's)")
    .option('--base <model>', 'base checkpoint of the adapter, if --model is one')
    .addOption(names('--methods <names>', `${comparedWords(', ')} (default: the seven of the preset)`));
  addDataOptions(command, { training: true }).optionsGroup('Training:');
  command.option('--together', 'train the LoRA methods in one pass over the base that they share, in one process');
  const row = (name: keyof typeof TRAINER_OPTIONS, words: string) =>
    command.addOption(rowOption(name, TRAINER_OPTIONS[name], words));
  row('epochs', 'passes over the training data (default: 3, more on small data; notebook: 15)');
  row('batchSize', "examples per batch (default: the preset's)");
  row('learningRate', 'for every method (default: by method and size of the model; notebook: 2e-5)');
  for (const kind of RATED_KINDS) {
    command.addOption(rowOption(rateOf(kind), TRAINER_OPTIONS.learningRate, `for ${kind}`));
  }
  row('weightDecay', "AdamW's weight decay (default: the preset's)");
  row('seed', "of new weights, order and dropout (default: the preset's)");
  addDeviceOptions(command)
    .optionsGroup('Output:')
    .option(
      '--output <dir>',
      'where results.json, .csv, .md and report.html go (default: results/<preset>, written over)',
    )
    .option('--tensorboard <dir>', 'also log every run for TensorBoard, each in its own subfolder')
    .option('--overwrite', 'write to --output even if it is not empty')
    .option('--no-texts', NO_TEXTS)
    .option('--quiet', 'print only errors to stderr')
    .option('--json', 'write results.json to stdout instead of tables')
    .action(compare);
}

async function compare(options: CompareArguments): Promise<void> {
  const progress = new Progress({ quiet: options.quiet ?? false });
  const preset = PRESETS[options.preset];
  const overrides = overridesOf(options);
  const named = comparisonExperiments(preset, overrides);
  if (options.together) togetherGroups(named);
  const output = options.output ?? (await defaultOutput(preset.name));
  const overwrite = options.output === undefined || (options.overwrite ?? false);
  const exclusively = (work: () => Promise<void>) =>
    withOutputDirectory(output, { overwrite, files: COMPARISON_FILES }, () => withDirectoryLock(output, work));
  await interruptibly(progress, (signal) =>
    exclusively(async () => {
      const environment = environmentRecord(resolveDevice(overrides.where ?? {}));
      const experiments = await settle(named, { signal, onProgress: downloadProgress(progress) });
      const { record: data } = await prepareData(experiments[0], sourceWords(named[0].data), signal, options.texts);
      progress.note(environmentLine(environment));
      for (const line of summaryLines(data.summary)) progress.note(line);

      // A table that cannot be written must not cost the runs: report it once everything is saved.
      let refused: unknown;
      const print = async (text: string) => {
        if (refused === undefined) await writeResult(text).catch((cause) => (refused = cause));
      };
      const runs: RunRecord[] = [];
      const keep = async (run: RunRecord) => {
        runs.push(run);
        // Of what was stopped before it had begun there is nothing to tell.
        if (signal.aborted && runs.every((each) => each.status === 'stopped' && !each.steps)) throwIfAborted(signal);
        if (!options.json)
          await print(sectionsText([run.method.kind === 'none' ? beforeSection(run) : runSection(run)]));
      };
      const groups = options.together ? togetherGroups(experiments) : experiments.map((experiment) => [experiment]);
      let done = 0;
      const work = groups.map(([experiment, ...others]) => {
        const titles = [experiment!, ...others].map(({ title }) => title);
        const from = done + 1;
        done += titles.length;
        const numbers = others.length > 0 ? `${from}-${done}` : from;
        const title = `${titles.join(', ')}${others.length > 0 ? ' together' : ''} (${numbers}/${experiments.length})`;
        return { experiment: experiment!, others, title, keep };
      });
      await runEach(work, progress, signal);

      const comparison: ComparisonRecord = {
        preset: preset.name,
        created: new Date().toISOString(),
        model: named[0].model,
        data,
        environment,
        runs,
        ...(preset.reference && { reference: preset.reference }),
      };
      await writeComparison(output, comparison);
      await print(options.json ? `${printableJson(comparison, 2)}\n` : sectionsText(closingSections(comparison)));
      progress.note(`saved ${COMPARISON_FILES.join(', ')} in ${output}`);
      if (runs.some(({ status }) => status === 'failed')) process.exitCode = EXIT_ERROR;
      if (refused !== undefined) throw refused;
    }),
  );
}

/** Nobody named it: a link that came with somebody else's folder must not lead to files that are then written over. */
async function defaultOutput(preset: string): Promise<string> {
  const output = join('results', preset);
  for (const path of [dirname(output), output]) {
    const found = await lstat(path).catch(() => undefined);
    if (found?.isSymbolicLink()) {
      throw new BertuneError(
        'OUTPUT_REFUSED',
        `Cannot write to ${output} by default: ${path} is a link. Remove it, or name the directory with --output`,
      );
    }
  }
  return output;
}

function overridesOf(options: CompareArguments): Overrides {
  const { model, base, methods, epochs, batchSize, weightDecay, seed, learningRate, tensorboard } = options;
  return {
    ...given({
      model,
      base,
      methods,
      epochs,
      batchSize,
      weightDecay,
      seed,
      learningRate,
      tensorboard,
      data: dataSource(options),
    }),
    learningRates: given(Object.fromEntries(RATED_KINDS.map((kind) => [kind, options[rateOf(kind)]]))),
    dataset: datasetOptions(options),
    where: deviceOptions(options),
    ...mistakesOf(options),
  };
}

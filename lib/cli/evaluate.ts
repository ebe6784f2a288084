import type { Command } from 'commander';
import type { Split } from '../data/types.js';
import { BertuneError } from '../errors.js';
import { type EvaluationData, fileToMeasure, splitToMeasure } from '../experiments/evaluation-data.js';
import { metricsRecord } from '../experiments/run.js';
import { statedTask } from '../experiments/task.js';
import type { FindOptions } from '../hub/index.js';
import { type EvaluateOptions, TextClassifier } from '../model/classifier.js';
import { NEW_CLASSIFIER } from '../model/load.js';
import { printableJson } from '../printable.js';
import { environmentRecord } from '../report/environment.js';
import { differenceTable, headlineRecord, metricsTable } from '../report/metrics.js';
import type { MetricsRecord } from '../report/records.js';
import { taskLines } from '../report/run-lines.js';
import { confusionSections, labelSection, sectionText } from '../report/sections.js';
import type { TaskKind } from '../tasks/index.js';
import {
  addDataOptions,
  addDeviceOptions,
  addLongTextOptions,
  choice,
  type DataArguments,
  type DeviceArguments,
  dataSource,
  datasetOptions,
  deviceOptions,
  given,
  type LongTextArguments,
  longTextOptions,
  number,
  required,
  textKindOption,
} from './arguments.js';
import { interruptibly } from './exit.js';
import { downloadProgress, Progress } from './progress.js';
import { colorsFor, resultWidth, writeResult } from './terminal.js';

interface EvaluateArguments extends DataArguments, DeviceArguments, LongTextArguments {
  model: string;
  base?: string;
  split?: 'train' | 'validation' | 'test';
  threshold?: number;
  textKind?: 'trained' | 'any';
  quiet?: true;
  json?: true;
}

/** Adds `bertune evaluate`. */
export function evaluateCommand(program: Command): void {
  const command = program
    .command('evaluate')
    .description('measure a model on labeled texts')
    .addOption(required('--model <model>', 'folder or Hugging Face id of a checkpoint or adapter'))
    .option('--base <model>', 'base checkpoint of the adapter (default: the one it names)');
  addDataOptions(command, { training: false }).addOption(
    choice(
      '--split <name>',
      'which split of --data (default: test; of one file, the rows held out in training, or all)',
      ['train', 'validation', 'test'],
    ),
  );
  addLongTextOptions(command)
    .addOption(textKindOption())
    .addOption(
      number('--threshold <x>', 'multi-label: score above which a label is predicted (default: as tuned, or 0.5)', {
        min: 0,
        max: 1,
      }),
    );
  addDeviceOptions(command)
    .optionsGroup('Output:')
    .option('--quiet', 'print only errors to stderr')
    .option('--json', 'write JSON')
    .action(evaluate);
}

async function evaluate(options: EvaluateArguments): Promise<void> {
  const progress = new Progress({ quiet: options.quiet ?? false });
  await interruptibly(progress, async (signal) => {
    const find = { signal, onProgress: downloadProgress(progress) };
    const { split, notes } = await rowsToMeasure(options, find);
    await using model = await loadFor(split, options, find);
    if (options.labels === undefined && model.notes.includes(NEW_CLASSIFIER)) {
      throw new BertuneError(
        'INVALID_OPTION',
        `${options.model} has no trained classifier: train it first with bertune train`,
      );
    }
    for (const note of model.notes) progress.note(`note: ${note}`);
    for (const line of taskLines(split.task)) progress.note(line);
    if (options.textKind !== 'any') expectTrainedKind(model.pairs, split);
    const settings = {
      ...longTextOptions(options),
      ...given({ threshold: options.threshold }),
      signal,
      textKind: 'any' as const,
    };
    const result = await model.evaluate(split, settings);
    for (const note of [...notes, ...result.notes]) progress.note(`note: ${note}`);
    if (result.truncated > 0) {
      const cut = result.truncated === 1 ? '1 text was longer' : `${result.truncated} texts were longer`;
      progress.note(`note: ${cut} than the model takes and cut`);
    }
    const metrics = metricsRecord(result);
    const exact = model.precision === 'int8' ? await inSingle(options, split, settings, find) : undefined;
    if (options.json) {
      const { parameters: _, ...memory } = model.memory();
      const record = {
        model: options.model,
        source: split.source,
        environment: environmentRecord(model),
        memory,
        ...metrics,
        ...given({ fp32: exact && headlineRecord(exact) }),
      };
      await writeResult(`${printableJson(record, 2)}\n`);
      return;
    }
    const { bold } = colorsFor(process.stdout);
    const sections = [
      { title: split.source, table: metricsTable(metrics) },
      ...(exact === undefined ? [] : [{ title: 'int8 beside fp32', table: differenceTable(metrics, exact) }]),
      labelSection(metrics),
      ...confusionSections(metrics, resultWidth()),
    ];
    await writeResult(sections.map((section) => sectionText(section, bold, resultWidth())).join(''));
  });
}

/** The model, with the split's task. */
function loadFor(split: Split, options: EvaluateArguments, find: FindOptions): Promise<TextClassifier<TaskKind>> {
  return TextClassifier.load<TaskKind>(options.model, {
    ...given({ base: options.base, labels: options.labels }),
    task: split.task,
    ...deviceOptions(options),
    ...find,
  });
}

/** What the model does in fp32, for what int8 loses. */
async function inSingle(
  options: EvaluateArguments,
  split: Split,
  settings: EvaluateOptions,
  find: FindOptions,
): Promise<MetricsRecord> {
  await using model = await loadFor(split, { ...options, precision: 'fp32' }, find);
  return metricsRecord(await model.evaluate(split, settings));
}

/** @throws BertuneError INVALID_DATA for pairs where the model was trained on single texts, or the reverse */
function expectTrainedKind(trained: boolean | null, { pairs, source }: Split): void {
  if (trained === null || trained === (pairs !== undefined)) return;
  throw new BertuneError(
    'INVALID_DATA',
    trained
      ? `The model was trained on pairs of texts but ${source} has single texts; name the column of the second texts with --text-pair-column`
      : `The model was trained on single texts but ${source} has pairs; name the one column of texts with --text-column`,
  );
}

/** The rows to evaluate on. */
async function rowsToMeasure(
  options: EvaluateArguments,
  find: FindOptions & { signal: AbortSignal },
): Promise<EvaluationData> {
  const { model, split, data, testFile, task } = options;
  if (dataSource(options) === undefined) {
    throw new BertuneError('INVALID_OPTION', 'Name what to evaluate on with --data or --test-file');
  }
  const stated = await statedTask({ model, ...given({ base: options.base }) }, find);
  if (stated !== undefined && task !== undefined && task !== stated.task) {
    throw new BertuneError('INVALID_OPTION', `${stated.reason}: leave out --task ${task}`);
  }
  const choice = { model, split, dataset: datasetOptions(options), stated, signal: find.signal };
  if (testFile === undefined) return splitToMeasure(data!, choice);
  if (split !== undefined && split !== 'test') {
    throw new BertuneError('INVALID_OPTION', '--split chooses a split of --data; leave it out with --test-file');
  }
  return fileToMeasure(testFile, choice);
}

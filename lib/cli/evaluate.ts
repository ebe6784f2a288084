import type { Command } from 'commander';
import { TextClassifier } from '../classifier.js';
import type { Split } from '../data/types.js';
import { loadDataset } from '../dataset.js';
import { BertuneError } from '../errors.js';
import { environmentRecord } from '../report/environment.js';
import { labelTable, metricsTable } from '../report/metrics.js';
import { printableJson } from '../report/printable.js';
import { confusionSection, sectionText } from '../report/sections.js';
import { metricsRecord } from '../run/run.js';
import { Trainer } from '../trainer.js';
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
  positiveInteger,
} from './arguments.js';
import { downloadProgress } from './downloads.js';
import { Progress } from './progress.js';
import { required } from './required.js';
import { interruptibly } from './signals.js';
import { colorsFor, resultWidth, writeResult } from './terminal.js';

interface EvaluateArguments extends DataArguments, DeviceArguments {
  model: string;
  base?: string;
  split?: 'train' | 'validation' | 'test';
  maxLength?: number;
  quiet?: true;
  json?: true;
}

/** Adds `bertune evaluate`. */
export function evaluateCommand(program: Command): void {
  const command = program
    .command('evaluate')
    .description('measure a model on labelled texts')
    .addOption(required('--model <model>', 'folder or Hugging Face id of a checkpoint or adapter'))
    .option('--base <model>', 'checkpoint under the adapter (default: where the adapter says)');
  addDataOptions(command, { training: false })
    .addOption(choice('--split <name>', 'which split of --data (default: test)', ['train', 'validation', 'test']))
    .addOption(positiveInteger('--max-length <n>', 'longest text in tokens (default: what the model takes)'));
  addDeviceOptions(command)
    .optionsGroup('Output:')
    .option('--quiet', 'nothing on stderr but errors')
    .option('--json', 'write JSON')
    .action(evaluate);
}

async function evaluate(options: EvaluateArguments): Promise<void> {
  const progress = new Progress({ quiet: options.quiet ?? false });
  await interruptibly(progress, async (signal) => {
    await using model = await TextClassifier.load(options.model, {
      ...given({ base: options.base, labels: options.labels }),
      ...deviceOptions(options),
      signal,
      onProgress: downloadProgress(progress),
    });
    for (const note of model.notes) progress.note(`note: ${note}`);
    const { split, notes } = await loadSplit(options, signal);
    const trainer = new Trainer(model, given({ maxLength: options.maxLength }));
    const result = await trainer.evaluate(split, { signal });
    for (const note of [...notes, ...result.notes]) progress.note(`note: ${note}`);
    if (result.truncated > 0) {
      const cut = result.truncated === 1 ? '1 text was longer' : `${result.truncated} texts were longer`;
      progress.note(`note: ${cut} than the model takes and cut`);
    }
    const metrics = metricsRecord(result);
    if (options.json) {
      const { parameters: _, ...memory } = model.memory();
      const record = {
        model: options.model,
        source: split.source,
        environment: environmentRecord(model),
        memory,
        ...metrics,
      };
      await writeResult(`${printableJson(record, 2)}\n`);
      return;
    }
    const { bold } = colorsFor(process.stdout);
    const sections = [
      { title: split.source, table: metricsTable(metrics) },
      { title: 'By label', table: labelTable(metrics) },
      confusionSection(metrics, resultWidth()),
    ];
    await writeResult(sections.map((section) => sectionText(section, bold, resultWidth())).join(''));
  });
}

/** The split to evaluate on. */
async function loadSplit(
  options: EvaluateArguments,
  signal: AbortSignal,
): Promise<{ split: Split; notes: readonly string[] }> {
  const { split: name = 'test' } = options;
  const source = dataSource(options);
  if (source === undefined) {
    throw new BertuneError('INVALID_OPTION', 'Name what to evaluate on with --data or --test-file');
  }
  if (typeof source !== 'string' && name !== 'test') {
    throw new BertuneError('INVALID_OPTION', '--split chooses a split of --data; leave it out with --test-file');
  }
  const dataset = await loadDataset(source, { ...datasetOptions(options), splits: [name], signal });
  return { split: dataset[name]!, notes: dataset.notes ?? [] };
}

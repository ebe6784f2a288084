import { fstatSync } from 'node:fs';
import type { Command } from 'commander';
import { TextClassifier } from '../classifier.js';
import { BertuneError } from '../errors.js';
import { printableJson } from '../report/printable.js';
import { addDeviceOptions, type DeviceArguments, deviceOptions, given, names, positiveInteger } from './arguments.js';
import { downloadProgress } from './downloads.js';
import { readLines } from './lines.js';
import { Progress } from './progress.js';
import { required } from './required.js';
import { interruptibly } from './signals.js';
import { writeResult } from './terminal.js';

interface PredictArguments extends DeviceArguments {
  model: string;
  base?: string;
  labels?: string[];
  maxLength?: number;
  /** commander sets the positive of a `--no-` option. */
  text: boolean;
  quiet?: true;
}

/** Texts a call: enough to fill every batch, few enough that results of a long input come as it is read. */
const TEXTS_PER_CALL = 512;

/** Adds `bertune predict`. */
export function predictCommand(program: Command): void {
  const command = program
    .command('predict')
    .description('classify texts; writes a line of JSON a text: text, label, score, scores')
    .argument('[text...]', 'texts (default: stdin, one a line)')
    .addOption(required('--model <model>', 'folder or Hugging Face id of a checkpoint or adapter'))
    .option('--base <model>', 'checkpoint under the adapter (default: where the adapter says)')
    .addOption(names('--labels <names>', 'names of the classes 0, 1, ... where the model only numbers them'))
    .addOption(positiveInteger('--max-length <n>', 'longest text in tokens (default: what the model takes)'))
    .option('--no-text', 'leave the text out of the lines');
  addDeviceOptions(command).optionsGroup('Output:').option('--quiet', 'nothing on stderr but errors').action(predict);
}

async function predict(texts: string[], options: PredictArguments): Promise<void> {
  const progress = new Progress({ quiet: options.quiet ?? false });
  await interruptibly(progress, async (signal) => {
    await using model = await TextClassifier.load(options.model, {
      ...given({ base: options.base, labels: options.labels }),
      ...deviceOptions(options),
      signal,
      onProgress: downloadProgress(progress),
    });
    for (const note of model.notes) progress.note(`note: ${note}`);
    const batches = texts.length > 0 ? [texts] : readLines(standardInput(), TEXTS_PER_CALL, signal);
    for await (const batch of batches) {
      const predictions = await model.predict(batch, { ...given({ maxLength: options.maxLength }), signal });
      const lines = predictions.map((prediction, index) =>
        printableJson(options.text ? { text: batch[index], ...prediction } : prediction),
      );
      await writeResult(`${lines.join('\n')}\n`);
    }
  });
}

/** @throws BertuneError INVALID_DATA for a directory, which Node.js would take for an empty file */
function standardInput(): NodeJS.ReadStream {
  if (fstatSync(0).isDirectory()) {
    throw new BertuneError('INVALID_DATA', 'Standard input is a directory; pass a file with one text a line');
  }
  return process.stdin;
}

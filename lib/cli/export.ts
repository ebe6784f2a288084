import type { Command } from 'commander';
import { BertuneError } from '../errors.js';
import { TextClassifier } from '../model/classifier.js';
import { ONNX_OPTIONS, type OnnxOptions } from '../model/save.js';
import { option } from '../options/names.js';
import { choice, given, required } from './arguments.js';
import { interruptibly } from './exit.js';
import { rowOption } from './flags.js';
import { Progress } from './progress.js';

interface ExportArguments {
  model: string;
  base?: string;
  output: string;
  format?: 'checkpoint' | 'onnx';
  weights?: OnnxOptions['weights'];
  overwrite?: true;
  quiet?: true;
}

/** Adds `bertune export`. */
export function exportCommand(program: Command): void {
  program
    .command('export')
    .description(
      'save a model as a plain checkpoint, or for ONNX Runtime and browsers; adapters are merged into the weights',
    )
    .addOption(required('--model <dir>', 'checkpoint or adapter'))
    .option('--base <dir>', 'base checkpoint of the adapter (default: the one it names)')
    .optionsGroup('Output:')
    .addOption(required('--output <dir>', 'directory to write'))
    .addOption(choice('--format <name>', 'what to write (default: checkpoint)', ['checkpoint', 'onnx']))
    .addOption(rowOption('weights', ONNX_OPTIONS.weights))
    .option('--overwrite', 'write into a directory that is not empty')
    .option('--quiet', 'print only errors to stderr')
    .action(exportModel);
}

async function exportModel(args: ExportArguments): Promise<void> {
  const { model: source, base, output, format = 'checkpoint', weights, overwrite = false, quiet } = args;
  if (format !== 'onnx' && weights !== undefined) {
    throw new BertuneError('INVALID_OPTION', `${option('weights')} is for ${option('format', 'onnx')} alone`);
  }
  const progress = new Progress({ quiet: quiet ?? false });
  await interruptibly(progress, async () => {
    // Weights pass through as they are: on the CPU, in the precision of the file that is written.
    await using model = await TextClassifier.load(source, {
      ...given({ base }),
      device: 'cpu',
      precision: 'fp32',
    });
    for (const note of model.notes) progress.note(`note: ${note}`);
    await (format === 'onnx'
      ? model.exportOnnx(output, { ...given({ weights }), overwrite })
      : model.export(output, { overwrite }));
    progress.note(`wrote ${output}`);
  });
}

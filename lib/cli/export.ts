import type { Command } from 'commander';
import { TextClassifier } from '../model/classifier.js';
import { given, required } from './arguments.js';
import { interruptibly } from './exit.js';
import { Progress } from './progress.js';

interface ExportArguments {
  model: string;
  base?: string;
  output: string;
  overwrite?: true;
  quiet?: true;
}

/** Adds `bertune export`. */
export function exportCommand(program: Command): void {
  program
    .command('export')
    .description('save a model as a plain checkpoint, a LoRA adapter added to the weights')
    .addOption(required('--model <dir>', 'checkpoint or LoRA adapter'))
    .option('--base <dir>', 'checkpoint under the adapter (default: where the adapter says)')
    .optionsGroup('Output:')
    .addOption(required('--output <dir>', 'directory of the checkpoint'))
    .option('--overwrite', 'write into a directory that is not empty')
    .option('--quiet', 'nothing on stderr but errors')
    .action(exportModel);
}

async function exportModel({ model: source, base, output, overwrite, quiet }: ExportArguments): Promise<void> {
  const progress = new Progress({ quiet: quiet ?? false });
  await interruptibly(progress, async () => {
    // Weights pass through as they are: on the CPU, in the precision of the file that is written.
    await using model = await TextClassifier.load(source, {
      ...given({ base }),
      device: 'cpu',
      precision: 'fp32',
    });
    for (const note of model.notes) progress.note(`note: ${note}`);
    await model.export(output, { overwrite: overwrite ?? false });
    progress.note(`wrote ${output}`);
  });
}

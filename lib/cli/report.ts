import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { stat } from '../files/fs.js';
import { REPORT_FILE, readResults, writeReport } from '../report/results.js';
import { Progress } from './progress.js';

interface ReportArguments {
  output?: string;
  texts: boolean;
  quiet?: true;
}

/** Adds `bertune report`. */
export function reportCommand(program: Command): void {
  program
    .command('report')
    .description('rebuild report.html from the results.json of train or compare')
    .argument('<results>', 'results.json, or the folder it is in')
    .option('--output <file>', 'where the report goes (default: report.html beside results.json, written over)')
    .option('--no-texts', 'show no texts of the data, such as those the model is most wrong about')
    .option('--quiet', 'print only errors to stderr')
    .action(report);
}

async function report(path: string, options: ReportArguments): Promise<void> {
  const progress = new Progress({ quiet: options.quiet ?? false });
  const found = await stat(path).catch(() => undefined);
  const file = found?.isDirectory() ? join(path, 'results.json') : path;
  const output = options.output ?? join(dirname(file), REPORT_FILE);
  await writeReport(output, await readResults(file), { texts: options.texts });
  progress.note(`saved ${output}`);
}

#!/usr/bin/env node
import { Command } from 'commander';
import { packageVersion } from '../native/package.js';
import { printableLines } from '../report/printable.js';
import { buildCommand } from './build.js';
import { compareCommand } from './compare.js';
import { evaluateCommand } from './evaluate.js';
import { exportCommand } from './export.js';
import { reportFailure } from './failure.js';
import { inspectCommand } from './inspect.js';
import { predictCommand } from './predict.js';
import { reportCommand } from './report.js';
import { colorsFor, outliveReaders, writeResult } from './terminal.js';
import { trainCommand } from './train.js';

const COMMANDS = [
  trainCommand,
  evaluateCommand,
  predictCommand,
  compareCommand,
  reportCommand,
  exportCommand,
  inspectCommand,
  buildCommand,
];

/** The command line with all its commands. */
function program(): Command {
  const command = new Command('bertune')
    .description('Fine-tune BERT text classifiers: full, linear probing, prefix tuning and LoRA, side by side.')
    .version(packageVersion(), '-v, --version')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void writeResult(text).catch(endWith),
      outputError: (text, write) => write(printableLines(text.replace(/^error: /, 'error [INVALID_OPTION]: '))),
      getOutHasColors: () => colorsFor(process.stdout).isColorSupported,
      getErrHasColors: () => colorsFor(process.stderr).isColorSupported,
    })
    .addHelpText(
      'after',
      '\nResults go to stdout, everything else to stderr. Exit status: 0 done, 1 an error, 2 wrong usage, 130 stopped\n' +
        'by Ctrl-C. Colours follow NO_COLOR; DEBUG=1 shows the stack of an error.',
    );
  for (const add of COMMANDS) add(command);
  return command;
}

/** Runs one command; the process ends with its status once everything that runs has ended. */
async function main(): Promise<void> {
  outliveReaders();
  try {
    await program().parseAsync();
  } catch (error) {
    endWith(error);
  }
}

/** Reports a failure. The status of one that was reported before stays. */
function endWith(error: unknown): void {
  process.exitCode = reportFailure(error) || process.exitCode;
}

await main();

import { Command } from 'commander';
import { BertuneError } from '../errors.js';
import { packageVersion } from '../native/package.js';
import { nameOptionsByFlags } from '../options/names.js';
import { nearest, shorten } from '../options/validation.js';
import { printableLines } from '../printable.js';
import { expectOptions, fullName } from './arguments.js';
import { buildCommand } from './build.js';
import { compareCommand } from './compare.js';
import { embedCommand } from './embed.js';
import { evaluateCommand } from './evaluate.js';
import { exportCommand } from './export.js';
import { flagsOf } from './flags.js';
import { inspectCommand } from './inspect.js';
import { predictCommand } from './predict.js';
import { pushCommand } from './push.js';
import { expectForSeveral, isFollower } from './ranks.js';
import { reportCommand } from './report.js';
import { sweepCommand } from './sweep.js';
import { colorsFor, writeResult } from './terminal.js';
import { trainCommand } from './train.js';

const COMMANDS = [
  trainCommand,
  evaluateCommand,
  predictCommand,
  embedCommand,
  compareCommand,
  sweepCommand,
  reportCommand,
  exportCommand,
  pushCommand,
  inspectCommand,
  buildCommand,
  helpCommand,
  versionCommand,
];

/** Commander's own takes a name that is no command for none at all. */
function helpCommand(program: Command): void {
  program
    .command('help')
    .description('show help for a command')
    .argument('[command...]')
    .action((path: string[]) => {
      let found = program;
      for (const name of path) {
        const names = found.commands.map((command) => command.name());
        const next = found.commands[names.indexOf(name)];
        if (next === undefined) throw noCommand(name, names);
        found = next;
      }
      found.outputHelp();
    });
}

function noCommand(name: string, names: readonly string[]): BertuneError {
  const near = nearest(name, names);
  const advice = near === undefined ? `the commands are ${names.join(', ')}` : `did you mean ${near}?`;
  return new BertuneError('INVALID_OPTION', `There is no command ${shorten(name)}: ${advice}`);
}

/** Refuses `bertune NAME --help` for a name that is no command, where commander's own shows the help of what is before it. */
function expectCommand({ args, commands }: Command): void {
  const [name] = args;
  const names = commands.map((command) => command.name());
  if (names.length > 0 && name !== undefined && !name.startsWith('-') && !names.includes(name))
    throw noCommand(name, names);
}

function versionCommand(program: Command): void {
  program
    .command('version')
    .description('show the version number')
    .action(() => writeResult(`${packageVersion()}\n`));
}

/**
 * The command line with all its commands.
 *
 * @param onError called where a text that was asked for cannot be written
 */
export function createProgram(onError: (error: unknown) => void): Command {
  const program = new Command('bertune')
    .description('Fine-tune, compare and serve BERT-family text classifiers.')
    .version(packageVersion(), '-v, --version')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void writeResult(text).catch(onError),
      outputError(text, write) {
        if (!isFollower()) write(printableLines(text.replace(/^error: /, 'error [INVALID_OPTION]: ')));
      },
      getOutHasColors: () => colorsFor(process.stdout).isColorSupported,
      getErrHasColors: () => colorsFor(process.stderr).isColorSupported,
    })
    .hook('preAction', (_, command) => {
      nameOptionsByFlags(flagsOf(command));
      expectOptions(command);
      expectForSeveral(command);
    })
    .addHelpText(
      'after',
      '\nResults go to stdout, everything else to stderr. Exit status: 0 success, 1 error, 2 wrong usage, 130 stopped\n' +
        'by Ctrl-C. NO_COLOR turns colors off; DEBUG=1 shows the stack of an error.',
    );
  program.on('beforeAllHelp', ({ command }: { command: Command }) => expectCommand(command));
  for (const add of COMMANDS) add(program);
  for (const command of allCommands(program)) command.addHelpText('after', exampleText(fullName(command)));
  return program;
}

/** Every command of a program, those of a command behind it. */
export function allCommands(program: Command): Command[] {
  return program.commands.flatMap((command) => [command, ...allCommands(command)]);
}

/** Command lines that are shown at the end of a command's help. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  train: [
    'bertune train --data reviews/ --output my-model',
    'bertune train --train-file train.csv --test-file test.csv --method lora --rank 16 --output my-adapter',
    'bertune train --data reviews/ --output my-model --resume',
  ],
  evaluate: [
    'bertune evaluate --model my-model --test-file test.csv',
    'bertune evaluate --model my-model --data reviews/ --split validation --json',
  ],
  predict: [
    "bertune predict --model my-model 'what a lovely day'",
    'bertune predict --model my-model --no-text < texts.txt > predictions.jsonl',
  ],
  embed: [
    "bertune embed --model my-model --normalize 'what a lovely day'",
    'bertune embed --model my-model --file reviews.csv --text-column review --output reviews.npy',
  ],
  compare: [
    'bertune compare --data reviews/',
    'bertune compare --data reviews/ --methods full,lora8,lora32 --epochs 5',
  ],
  'sweep plan': [
    'bertune sweep plan my-sweep --data reviews/ --method full,lora --rank 4,8 --learning-rate 1e-4,3e-4 --seed 1,2,3',
    'bertune sweep plan my-sweep --data reviews/ --method lora --learning-rate 1e-5..1e-3 --rank 4,8,16 --random 20',
    'bertune sweep plan my-sweep --file sweep.yaml',
  ],
  'sweep run': ['bertune sweep run my-sweep --jobs 2', 'bertune sweep run my-sweep --cell 3/24'],
  'sweep status': ['bertune sweep status my-sweep'],
  'sweep merge': ['bertune sweep merge my-sweep'],
  report: ['bertune report my-model', 'bertune report results/quick/results.json --output comparison.html'],
  export: [
    'bertune export --model my-adapter --output merged',
    'bertune export --model my-adapter --output web/my-model --format onnx',
  ],
  push: ['bertune push my-model org/my-model', 'bertune push my-adapter org/my-adapter --revision v2 --public'],
  inspect: ['bertune inspect', 'bertune inspect my-model --tensors'],
  build: ['bertune build', 'bertune build --cuda'],
};

/** The examples of a command as its help shows them. */
function exampleText(command: string): string {
  const lines = EXAMPLES[command] ?? [];
  return lines.length === 0 ? '' : `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`.trimEnd();
}

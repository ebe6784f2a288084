import { type Command, Option } from 'commander';
import { expectEncoding } from '../data/encoding.js';
import { type DatasetOptions, QUOTINGS, type Quoting } from '../data/types.js';
import { BertuneError } from '../errors.js';
import type { DataSource } from '../experiments/experiment.js';
import type { Device, DeviceOptions } from '../model/device.js';
import { type LongTextOptions, TRUNCATIONS, WINDOW_POOLINGS } from '../options/long-texts.js';
import { option } from '../options/names.js';
import * as rows from '../options/table.js';
import { readNames } from '../options/table.js';
import { invalidOption, type NumberRange } from '../options/validation.js';
import { TASK_KINDS, type TaskKind } from '../tasks/index.js';

/*
 * Options of the command line: how a value is read, checked and named in messages. A value that cannot be used is an
 * INVALID_OPTION that names the flag, and the usage error's exit status.
 */

/** A flag that is of no table, e.g. `--threads <n>`, whose value is read as that of a row. */
function own(flags: string, description: string, read: (flag: string, text: string) => unknown): Option {
  const option = new Option(flags, description);
  return option.argParser((text: string) => read(option.long ?? flags, text));
}

/** `--rank <n>`: a positive integer. */
export function positiveInteger(flags: string, description: string): Option {
  return own(flags, description, rows.positiveInteger({ words: description }).read);
}

/** `--seed <n>`: an integer from 0 to 2^32 − 1. */
export function seedNumber(flags: string, description: string): Option {
  return own(flags, description, rows.seed({ words: description }).read);
}

/** `--test-fraction <x>`: a number inside a range. */
export function number(flags: string, description: string, range: NumberRange): Option {
  return own(flags, description, rows.number(range, { words: description }).read);
}

/** `--labels <names>`: names with commas between them. */
export function names(flags: string, description: string): Option {
  return own(flags, description, readNames);
}

/** `--quoting <name>`: one of `choices`. */
export function choice(flags: string, description: string, choices: readonly string[]): Option {
  return new Option(flags, description).choices(choices);
}

/** An option that a command cannot do without. Commander's own would hide a mistyped option behind the missing one. */
class RequiredOption extends Option {}

/** `--model <model>`: an option without which the command cannot start. */
export function required(flags: string, description: string): Option {
  return new RequiredOption(flags, `${description} (required)`);
}

/** @throws BertuneError INVALID_OPTION naming the options that a command needs and was not given, or one that is empty */
export function expectOptions(command: Command): void {
  const answerTo = (option: Option): unknown => command.getOptionValue(option.attributeName());
  const empty = command.options.find((option) => answerTo(option) === '');
  if (empty !== undefined) throw invalidOption(empty.attributeName(), 'a value', '');
  const missing = command.options.filter(
    (option) => option instanceof RequiredOption && answerTo(option) === undefined,
  );
  if (missing.length === 0) return;
  const names = missing.map(({ flags }) => flags).join(' and ');
  throw new BertuneError('INVALID_OPTION', `bertune ${fullName(command)} needs ${names}`);
}

/** A command's name with those that it belongs to, but for the program's: `sweep plan`. */
export function fullName(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${fullName(parent)} ${command.name()}` : command.name();
}

/** An object without its undefined members, so that "not given" stays "not there". */
export function given<Value extends object>(values: Value): { [Key in keyof Value]?: Exclude<Value[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Value]?: Exclude<Value[Key], undefined>;
  };
}

const FRACTION = { min: 0, max: 1, minExclusive: true, maxExclusive: true };

/** What the options about data say. */
export interface DataArguments extends ReadingArguments {
  data?: string;
  trainFile?: string;
  validationFile?: string;
  testFile?: string;
  textColumn?: string;
  textPairColumn?: string;
  labelColumn?: string;
  labelColumns?: string[];
  labelSeparator?: string;
  task?: TaskKind;
  labels?: string[];
  config?: string;
  validationFraction?: number;
  testFraction?: number;
  splitSeed?: number;
  holdout?: boolean;
}

/** Adds the options about data; a command that does not train takes no file to train on. */
export function addDataOptions(command: Command, { training }: { training: boolean }): Command {
  command
    .optionsGroup('Data:')
    .option(
      '--data <data>',
      'one file, or a folder or Hugging Face id with train, validation and test files (.csv .tsv .jsonl .json .txt, .gz of them; .parquet)',
    );
  if (training) {
    command
      .option('--train-file <file>', 'file to train on, instead of --data')
      .option('--validation-file <file>', 'file to evaluate on after every epoch')
      .addOption(
        number('--validation-fraction <x>', 'share of the training rows, instead of --validation-file', FRACTION),
      )
      .addOption(number('--test-fraction <x>', 'share of the training rows to keep for the end', FRACTION))
      .addOption(seedNumber('--split-seed <n>', 'seed for drawing the held-out rows (default: 42)'))
      .option('--no-holdout', 'do not hold out a tenth of the training rows for each split that is missing');
  }
  command
    .option('--test-file <file>', training ? 'file to evaluate on at the end' : 'file to evaluate on')
    .option('--text-column <name>', 'column of the texts (default: text, sentence, content, ...)')
    .option('--text-pair-column <name>', 'column of the second texts, for pairs (default: none, or a usual pair)')
    .option('--label-column <name>', 'column of the labels (default: label, labels, ...)')
    .addOption(names('--label-columns <names>', 'one 0/1 column per label, or with regression one column per value'))
    .option('--label-separator <text>', 'separator of several labels in the column, e.g. |')
    .addOption(choice('--task <name>', 'what labels are for (default: from the model, else from the data)', TASK_KINDS))
    .addOption(names('--labels <names>', 'names of the labels 0, 1, ... if data or model only number them'));
  return addReadingOptions(command).option('--config <name>', "configuration of --data (default: its card's own)");
}

/** What the options about how a data file is written say. */
export interface ReadingArguments {
  encoding?: string;
  header?: boolean;
  skipInvalid?: true;
  delimiter?: string;
  quoting?: Quoting;
}

/** Adds the options about how a data file is written. */
export function addReadingOptions(command: Command): Command {
  return command
    .addOption(own('--encoding <name>', 'encoding of text files (default: utf-8)', expectEncoding))
    .option('--no-header', 'the file has no header line; columns are numbered: --text-column 1')
    .option('--skip-invalid', 'skip invalid rows, and count them')
    .option('--delimiter <character>', 'delimiter of columns (default: detected from the header line)')
    .addOption(
      choice('--quoting <name>', 'quoting of columns; none: quotes are ordinary characters (default: auto)', QUOTINGS),
    );
}

/** How a data file is read, as the arguments say. */
export function readingOptions({ encoding, header, delimiter, quoting }: ReadingArguments) {
  return {
    ...given({ encoding, delimiter: delimiter === '\\t' ? '\t' : delimiter, quoting }),
    ...(header === false && { header: false }),
  };
}

/**
 * Where data are, as the arguments say: a folder, or files; undefined where they say nothing.
 *
 * @throws BertuneError INVALID_OPTION for a folder and files at once
 */
export function dataSource({ data, trainFile, validationFile, testFile }: DataArguments): DataSource | undefined {
  const files = given({ train: trainFile, validation: validationFile, test: testFile });
  if (Object.keys(files).length === 0) return data;
  if (data !== undefined) {
    const names = Object.keys(files).map((name) => option(`source.${name}`));
    throw new BertuneError(
      'INVALID_OPTION',
      `Name either a folder with --data or files with ${names.join(', ')}, not both`,
    );
  }
  return files;
}

/** How the files of data are read, as the arguments say. */
export function datasetOptions(options: DataArguments): DatasetOptions {
  const { textColumn, textPairColumn, labelColumn, labelColumns, labelSeparator, task } = options;
  const { labels, config, skipInvalid } = options;
  const { validationFraction, testFraction, splitSeed } = options;
  const fractions = given({ validation: validationFraction, test: testFraction });
  const seed = given({ seed: splitSeed });
  const isDivided = Object.keys(fractions).length > 0;
  const isHeldOut = !isDivided && holdsOut(options);
  if (!isDivided && !isHeldOut && splitSeed !== undefined) {
    throw new BertuneError('INVALID_OPTION', '--split-seed has no effect because no rows are held out; leave it out');
  }
  return {
    ...given({ textColumn, textPairColumn, labelColumn, labelColumns, labelSeparator, task }),
    ...given({ labels, skipInvalid, config }),
    ...readingOptions(options),
    ...(isDivided && { split: { ...fractions, ...seed } }),
    ...(isHeldOut && { holdout: seed }),
  };
}

/** Whether splits that the data lack are taken out of the training rows: not where the caller names files of splits. */
function holdsOut({ holdout = false, validationFile, testFile }: DataArguments): boolean {
  return holdout && validationFile === undefined && testFile === undefined;
}

/** What the options about texts that are too long say. */
export interface LongTextArguments extends LongTextOptions {}

/** Adds what becomes of texts that are too long, where a model predicts. */
export function addLongTextOptions(command: Command): Command {
  const stride = 'read longer texts in windows that share this many tokens (default: as trained)';
  return command
    .addOption(
      positiveInteger('--max-length <n>', 'longest text in tokens (default: as trained, or what the model takes)'),
    )
    .addOption(choice('--truncation <name>', 'what is kept of a longer text (default: as trained)', TRUNCATIONS))
    .addOption(own('--stride <n>', stride, rows.nonNegativeInteger({ words: stride }).read))
    .addOption(
      choice('--window-pooling <name>', 'how the logits of windows are pooled (default: as trained)', WINDOW_POOLINGS),
    );
}

/** What becomes of texts that are too long, as the arguments say. */
export function longTextOptions({ maxLength, truncation, stride, windowPooling }: LongTextArguments): LongTextOptions {
  return given({ maxLength, truncation, stride, windowPooling });
}

/** `--text-kind <kind>`: whether single texts or pairs have to be what the model was trained on. */
export function textKindOption(): Option {
  return choice(
    '--text-kind <kind>',
    'any: allow single texts for a model of pairs, and the reverse (default: trained)',
    ['trained', 'any'],
  );
}

/** The help of `--no-texts`. */
export const NO_TEXTS =
  'keep no texts of the data in results.json and report.html, such as those the model is most wrong about';

/** How many of the texts that a model is most wrong about are kept. */
const KEPT_MISTAKES = 20;

/** The texts that a run is to keep, as the arguments say. */
export function mistakesOf({ texts }: { texts: boolean }): { mistakes?: number } {
  return texts ? { mistakes: KEPT_MISTAKES } : {};
}

/** What the options about where arithmetic runs say. */
export interface DeviceArguments extends DeviceOptions {}

function readDevice(flag: string, text: string): Device {
  if (/^(auto|cpu|cuda(:\d{1,4})?)$/.test(text)) return text as Device;
  throw invalidOption(flag, 'auto, cpu, cuda or cuda:1, the second GPU,', text);
}

/** Where arithmetic runs, as the arguments say. */
export function deviceOptions({ device, precision, threads }: DeviceArguments): DeviceOptions {
  return given({ device, precision, threads });
}

/** Adds the options about where arithmetic runs. */
export function addDeviceOptions(command: Command): Command {
  return command
    .optionsGroup('Device:')
    .addOption(own('--device <name>', 'auto, cpu, cuda, or cuda:1 for the second GPU (default: auto)', readDevice))
    .addOption(
      choice(
        '--precision <name>',
        'arithmetic; int8 is for prediction on the CPU (default: bf16 on a GPU, fp32 on the CPU)',
        ['auto', 'fp32', 'fp64', 'tf32', 'bf16', 'int8'],
      ),
    )
    .addOption(positiveInteger('--threads <n>', 'threads on the CPU (default: one per core)'));
}

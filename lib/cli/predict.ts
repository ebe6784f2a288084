import { basename, dirname } from 'node:path';
import type { Command } from 'commander';
import type { InvalidRow } from '../data/records.js';
import { BertuneError } from '../errors.js';
import { lstat, realpath } from '../files/fs.js';
import { expectFilePlaces, writeFilesAtomic, writeFully } from '../files/output.js';
import { type AnyClassifier, TextClassifier } from '../model/classifier.js';
import { type TaskKind, taskOf } from '../tasks/index.js';
import {
  addDeviceOptions,
  addLongTextOptions,
  addReadingOptions,
  choice,
  type DeviceArguments,
  deviceOptions,
  given,
  type LongTextArguments,
  longTextOptions,
  names,
  number,
  positiveInteger,
  type ReadingArguments,
  readingOptions,
  required,
  textKindOption,
} from './arguments.js';
import { interruptibly } from './exit.js';
import { type ColumnOptions, formatOf, JsonLinesFormat, type OutputFormat } from './predict/formats.js';
import { ofOneKind, type Predicted, predicted } from './predict/predictions.js';
import { expectInputArguments, type InputArguments, inputSource } from './predict/sources.js';
import { downloadProgress, Progress } from './progress.js';
import { writeResult } from './terminal.js';

interface PredictArguments extends DeviceArguments, LongTextArguments, ReadingArguments, InputArguments {
  model: string;
  base?: string;
  labels?: string[];
  textKind?: 'trained' | 'any';
  output?: string;
  overwrite?: true;
  topK?: number;
  uncertainty?: true;
  threshold?: number;
  scores?: true;
  prefix: string;
  /** commander sets the positive of a `--no-` option. */
  text: boolean;
  quiet?: true;
}

/** Adds `bertune predict`. */
export function predictCommand(program: Command): void {
  const command = program
    .command('predict')
    .description(
      'classify texts; writes one JSON object per line: text, label, score, scores (by task also labels, or value)',
    )
    .argument('[text...]', 'texts (default: stdin, one a line)')
    .addOption(required('--model <model>', 'folder or Hugging Face id of a checkpoint or adapter'))
    .option('--base <model>', 'checkpoint under the adapter (default: where the adapter says)')
    .addOption(names('--labels <names>', 'names of the classes 0, 1, ... where the model only numbers them'))
    .addOption(textKindOption());
  addLongTextOptions(command)
    .optionsGroup('Texts:')
    .option('--text-pair <text>', 'second text of a pair, beside one text')
    .addOption(
      choice('--input-format <name>', 'lines of stdin; jsonl: "text", ["text", "pair"] or objects (default: text)', [
        'text',
        'jsonl',
      ]),
    )
    .option('--file <file>', 'data file whose rows to classify (.csv .tsv .jsonl .json .txt, .gz of them; .parquet)')
    .option('--text-column <name>', 'column of the texts (default: text, sentence, content, ...)')
    .option('--text-pair-column <name>', 'column of the second texts, for pairs (default: none, or a usual pair)');
  addReadingOptions(command);
  addDeviceOptions(command)
    .optionsGroup('Output:')
    .option('--output <file>', 'file to write (.csv .tsv .jsonl) instead of JSON lines to stdout')
    .option('--overwrite', 'replace --output where it is there')
    .addOption(positiveInteger('--top-k <n>', 'list the best n labels with their scores'))
    .option('--scores', "write every label's score")
    .option('--uncertainty', 'write margin and entropy, to choose what to label next')
    .addOption(
      number('--threshold <x>', 'multi-label: score above which a label is predicted (default: as tuned, or 0.5)', {
        min: 0,
        max: 1,
      }),
    )
    .option('--prefix <text>', 'what the names of new columns begin with, beside those of a file', 'predicted_')
    .option('--no-text', 'leave the texts out')
    .option('--quiet', 'nothing on stderr but errors')
    .action(predict);
}

async function predict(texts: string[], options: PredictArguments): Promise<void> {
  expectInputArguments(texts, options);
  const { output } = options;
  const columns: ColumnOptions = {
    scores: options.scores ?? false,
    text: options.text,
    prefix: options.prefix,
  };
  const format = output === undefined ? new JsonLinesFormat(columns) : formatOf(output, columns);
  if (output !== undefined) {
    if (options.file !== undefined) await expectOtherFile(output, options.file);
    await expectOutputFile(output, { overwrite: options.overwrite ?? false });
  }
  const progress = new Progress({ quiet: options.quiet ?? false });
  await interruptibly(progress, async (signal) => {
    await using model = await TextClassifier.load<TaskKind>(options.model, {
      ...given({ base: options.base, labels: options.labels }),
      ...deviceOptions(options),
      signal,
      onProgress: downloadProgress(progress),
    });
    expectTaskArguments(model, options);
    for (const note of model.notes) progress.note(`note: ${note}`);
    const count = { rows: 0 };
    const skipped = new SkippedRows();
    const began = performance.now();
    const { inputs, advice } = inputSource(texts, options, {
      reading: readingOptions(options),
      signal,
      onInvalid: options.skipInvalid && ((invalid) => skipped.add(invalid)),
      onProgress: (share) => showProgress(progress, share, count.rows, began),
      onNote: (note) => progress.note(`note: ${note}`),
    });
    const kind = options.textKind === 'any' ? null : model.pairs;
    const settings = {
      ...longTextOptions(options),
      ...given({ threshold: options.threshold, topK: options.topK, uncertainty: options.uncertainty }),
      textKind: 'any' as const,
      signal,
    };
    const rows = predicted(ofOneKind(inputs, kind, advice), (batch) => model.predict(batch, settings));
    const pieces = linesOf(rows, format, count);
    if (output === undefined) for await (const piece of pieces) await writeResult(piece);
    else await writeOutputFile(output, pieces);
    progress.clear();
    for (const note of skipped.notes) progress.note(`note: ${note}`);
    if (output !== undefined) progress.note(`wrote ${counted(count.rows, 'row')} to ${output}`);
  });
}

/** @throws BertuneError INVALID_OPTION for options that mean nothing to the model's task */
function expectTaskArguments(model: AnyClassifier, { topK, scores, uncertainty, threshold }: PredictArguments): void {
  const task = taskOf(model.task);
  const odd = [
    ...(topK !== undefined && task.labels === 'values' ? ['--top-k'] : []),
    ...(scores !== undefined && task.labels === 'values' ? ['--scores'] : []),
    ...(uncertainty !== undefined && task.labels === 'values' ? ['--uncertainty'] : []),
    ...(threshold !== undefined && task.labels !== 'classes' ? ['--threshold'] : []),
  ];
  if (odd.length === 0) return;
  const verb = odd.length === 1 ? 'means' : 'mean';
  throw new BertuneError(
    'INVALID_OPTION',
    `${odd.join(' and ')} ${verb} nothing to a model for ${task.title}; leave it out`,
  );
}

async function* linesOf(
  groups: AsyncIterable<readonly Predicted[]>,
  format: OutputFormat,
  count: { rows: number },
): AsyncGenerator<string> {
  for await (const rows of groups) {
    count.rows += rows.length;
    if (rows.length > 0) yield format.lines(rows);
  }
}

/** Shows how far the reading of a file is; what was read last is still being classified. */
function showProgress(progress: Progress, share: number, rows: number, began: number): void {
  const secondsLeft = (((performance.now() - began) / 1000) * (1 - share)) / share;
  progress.update('predict', { done: share, total: 1, count: counted(rows, 'row'), secondsLeft });
}

/** Counts the rows that are left out, by what is wrong with them. */
class SkippedRows {
  readonly #byReason = new Map<string, { count: number; first: InvalidRow }>();

  add(row: InvalidRow): void {
    const known = this.#byReason.get(row.reason);
    if (known) known.count += 1;
    else this.#byReason.set(row.reason, { count: 1, first: row });
  }

  /** What to say of them, a sentence a reason. */
  get notes(): string[] {
    return [...this.#byReason].map(
      ([reason, { count, first }]) => `left out ${counted(count, 'row')} ${reason}; the first: ${first.error.message}`,
    );
  }
}

/** A number with its word: `1 row`, `2 rows`. */
function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

/**
 * Checks that a file can be written, before the work that makes it.
 *
 * @param options.overwrite whether one that is there is replaced
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function expectOutputFile(path: string, { overwrite }: { overwrite: boolean }): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found && !found.isDirectory() && !overwrite) {
    throw new BertuneError('OUTPUT_REFUSED', `There is a file ${path} already; pass --overwrite to replace it`);
  }
  await expectFilePlaces(dirname(path), [basename(path)]);
}

/**
 * Refuses to write predictions over the file that they are about, under whatever name.
 *
 * @throws BertuneError OUTPUT_REFUSED
 */
async function expectOtherFile(output: string, input: string): Promise<void> {
  const [there, read] = await Promise.all([output, input].map((path) => realpath(path).catch(() => undefined)));
  if (there === undefined || there !== read) return;
  throw new BertuneError('OUTPUT_REFUSED', `--output ${output} is the file that --file reads; give it another name`);
}

/**
 * Writes a file piece by piece under a temporary name, and gives it its own when it is whole: on failure nothing is left,
 * and a file that had been there is as it was.
 *
 * @param pieces its text; the next is asked for when the one before is written
 * @throws BertuneError OUTPUT_REFUSED; what `pieces` throws
 */
export async function writeOutputFile(path: string, pieces: AsyncIterable<string>): Promise<void> {
  const write = async (file: Parameters<typeof writeFully>[0]) => {
    for await (const piece of pieces) await writeFully(file, Buffer.from(piece));
  };
  await writeFilesAtomic(dirname(path), [{ name: basename(path), write }]);
}

import type { Command } from 'commander';
import type { InvalidRow } from '../../data/records.js';
import { type AnyClassifier, TextClassifier } from '../../model/classifier.js';
import type { TaskKind } from '../../tasks/index.js';
import {
  addDeviceOptions,
  addReadingOptions,
  choice,
  type DeviceArguments,
  deviceOptions,
  given,
  type ReadingArguments,
  readingOptions,
  required,
} from '../arguments.js';
import { interruptibly } from '../exit.js';
import { downloadProgress, Progress } from '../progress.js';
import { writeResult } from '../terminal.js';
import { type Answered, type AnswerTexts, answered, ofOneKind } from './answers.js';
import { type ColumnOptions, formatOf, type OutputFormat, type OutputFormats } from './formats.js';
import { expectOtherFile, expectOutputFile, writeOutputFile } from './output.js';
import { expectInputArguments, type InputArguments, inputSource } from './sources.js';

/*
 * Commands that read texts, have a model make something of each, and write it beside them.
 */

/** What the options of such a command say. */
export interface TextArguments extends DeviceArguments, ReadingArguments, InputArguments {
  model: string;
  base?: string;
  labels?: string[];
  output?: string;
  overwrite?: true;
  prefix?: string;
  /** commander sets the positive of a `--no-` option. */
  text: boolean;
  quiet?: true;
}

/** Adds the texts and the options of the model. */
export function addModelOptions(command: Command): Command {
  return command
    .argument('[text...]', 'texts (default: stdin, one per line)')
    .addOption(required('--model <model>', 'folder or Hugging Face id of a checkpoint or adapter'))
    .option('--base <model>', 'base checkpoint of the adapter (default: the one it names)');
}

/** Adds the options about texts and device. @param verb what is done with texts */
export function addTextOptions(command: Command, verb: string): Command {
  command
    .optionsGroup('Texts:')
    .option('--text-pair <text>', 'second text of a pair, with one text')
    .addOption(
      choice('--input-format <name>', 'lines of stdin; jsonl: "text", ["text", "pair"] or objects (default: text)', [
        'text',
        'jsonl',
      ]),
    )
    .option('--file <file>', `data file whose rows to ${verb} (.csv .tsv .jsonl .json .txt, .gz of them; .parquet)`)
    .option('--text-column <name>', 'column of the texts (default: text, sentence, content, ...)')
    .option('--text-pair-column <name>', 'column of the second texts, for pairs (default: none, or a usual pair)');
  addReadingOptions(command);
  return addDeviceOptions(command);
}

/** Adds the options about what is written. @param endings of files */
export function addOutputOptions(command: Command, endings: string): Command {
  return command
    .optionsGroup('Output:')
    .option('--output <file>', `file to write (${endings}) instead of JSON lines to stdout`)
    .option('--overwrite', 'replace --output if it exists');
}

/**
 * Adds the options about the columns beside what is new.
 *
 * @param prefix what the names of new columns begin with by default. Defaults to nothing.
 */
export function addColumnOptions(command: Command, prefix?: string): Command {
  return command
    .option('--prefix <text>', 'prefix of the new columns', prefix)
    .option('--no-text', 'leave out the texts')
    .option('--quiet', 'print only errors to stderr');
}

/** What a command does once it has its model. */
interface BegunWork<Answer> {
  answer: AnswerTexts<Answer>;
  /** Whether texts have to be pairs; null: as the first one is. */
  pairs: boolean | null;
  /** What to say of the model. */
  notes: readonly string[];
}

/** What a command makes of texts. */
export interface TextWork<Answer extends object> {
  /** Of the command, while it works. */
  verb: string;
  formats: OutputFormats<Answer>;
  /** Whether every label's score is written. */
  scores: boolean;
  begin(model: AnyClassifier, signal: AbortSignal): BegunWork<Answer>;
}

/**
 * Carries such a command out.
 *
 * @param texts those among the arguments
 * @throws BertuneError
 */
export async function answerTexts<Answer extends object>(
  texts: readonly string[],
  options: TextArguments,
  { verb, formats, scores, begin }: TextWork<Answer>,
): Promise<void> {
  expectInputArguments(texts, options);
  const { output } = options;
  const columns: ColumnOptions = { scores, text: options.text, prefix: options.prefix ?? '' };
  const format = formatOf(output, columns, formats);
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
    const { answer, pairs, notes } = begin(model, signal);
    for (const note of notes) progress.note(`note: ${note}`);
    const count = { rows: 0 };
    const skipped = new SkippedRows();
    const began = performance.now();
    const { inputs, advice } = inputSource(texts, options, {
      reading: readingOptions(options),
      signal,
      onInvalid: options.skipInvalid && ((invalid) => skipped.add(invalid)),
      onProgress: (share) => {
        // What was read last is still being worked on.
        const secondsLeft = (((performance.now() - began) / 1000) * (1 - share)) / share;
        progress.update(verb, { done: share, total: 1, count: counted(count.rows, 'row'), secondsLeft });
      },
      onNote: (note) => progress.note(`note: ${note}`),
    });
    const pieces = piecesOf(answered(ofOneKind(inputs, pairs, advice), answer), format, count);
    if (output !== undefined) await writeOutputFile(output, pieces, format.head && (() => format.head!()));
    else for await (const piece of pieces) await writeResult(piece);
    progress.clear();
    for (const note of skipped.notes) progress.note(`note: ${note}`);
    if (output !== undefined) progress.note(`wrote ${counted(count.rows, 'row')} to ${output}`);
  });
}

async function* piecesOf<Answer extends object>(
  groups: AsyncIterable<readonly Answered<Answer>[]>,
  format: OutputFormat<Answer>,
  count: { rows: number },
): AsyncGenerator<string | Uint8Array> {
  for await (const rows of groups) {
    count.rows += rows.length;
    if (rows.length > 0) yield format.lines(rows);
  }
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

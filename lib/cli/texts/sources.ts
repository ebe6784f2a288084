import { fstatSync } from 'node:fs';
import type { InvalidRow } from '../../data/records.js';
import type { DatasetOptions } from '../../data/types.js';
import { BertuneError } from '../../errors.js';
import { invalidOption } from '../../options/validation.js';
import { given } from '../arguments.js';
import { grouped, type TextSource } from './answers.js';
import { noteOn, readLines } from './lines.js';
import { fileInputs, jsonLines, textLines } from './readers.js';

/** Inputs a call: enough to fill every batch, few enough that results of a long input come as it is read. */
const INPUTS_PER_CALL = 512;

/** What the arguments say about where texts come from. */
export interface InputArguments {
  textPair?: string;
  inputFormat?: 'text' | 'jsonl';
  file?: string;
  textColumn?: string;
  textPairColumn?: string;
}

/** Where texts come from, and how to give pairs or single texts there. */
interface InputSource {
  inputs: TextSource;
  advice: { pairs: string; single: string };
}

/** What a source is read with, and whom it tells what. */
interface InputReading {
  reading: Pick<DatasetOptions, 'encoding' | 'header' | 'delimiter' | 'quoting'>;
  signal: AbortSignal;
  onInvalid: ((invalid: InvalidRow) => void) | undefined;
  /** Of a file. */
  onProgress: (share: number) => void;
  onNote: (note: string) => void;
}

/** @throws BertuneError INVALID_OPTION for arguments that contradict each other */
export function expectInputArguments(texts: readonly string[], options: InputArguments): void {
  const { file, textPair, inputFormat, textColumn, textPairColumn } = options;
  if (file !== undefined && texts.length > 0) {
    throw new BertuneError('INVALID_OPTION', 'Give either texts or --file, not both');
  }
  if (textPair !== undefined && texts.length !== 1) {
    throw invalidOption('--text-pair', 'one text beside it, whose second text it is,', `${texts.length} texts`);
  }
  if (inputFormat !== undefined && (file !== undefined || texts.length > 0)) {
    throw invalidOption(
      '--input-format',
      'nothing beside texts or --file, because it is about standard input,',
      inputFormat,
    );
  }
  if (file !== undefined || inputFormat === 'jsonl') return;
  for (const [flag, value] of Object.entries({ '--text-column': textColumn, '--text-pair-column': textPairColumn })) {
    if (value !== undefined) throw invalidOption(flag, 'nothing without --file or --input-format jsonl', value);
  }
}

/** The source of texts that the arguments name. */
export function inputSource(texts: readonly string[], options: InputArguments, how: InputReading): InputSource {
  const { file, textPair, inputFormat } = options;
  const columns = given({ textColumn: options.textColumn, textPairColumn: options.textPairColumn });
  const { reading, signal, onInvalid, onProgress, onNote } = how;
  if (file !== undefined) {
    const inputs = fileInputs(file, { ...reading, ...columns, signal, onProgress, onNote, ...given({ onInvalid }) });
    return { inputs: grouped(inputs, INPUTS_PER_CALL), advice: FILE_ADVICE };
  }
  if (texts.length > 0) {
    const all = texts.map((text, i) => ({ place: `text ${i + 1}`, text, pair: textPair }));
    return { inputs: oneGroup(all), advice: ARGUMENT_ADVICE };
  }
  const lines = readLines(standardInput(), INPUTS_PER_CALL, signal);
  if (inputFormat === 'jsonl') {
    return { inputs: jsonLines(lines, { ...columns, ...given({ onInvalid }) }), advice: JSON_ADVICE };
  }
  return { inputs: textLines(withNote(lines, onNote)), advice: TEXT_ADVICE };
}

const ARGUMENT_ADVICE = { pairs: 'give its second text with --text-pair', single: 'leave out --text-pair' };
const FILE_ADVICE = {
  pairs: 'name the column of the second texts with --text-pair-column',
  single: 'name the one column of texts with --text-column',
};
const JSON_ADVICE = {
  pairs: 'write a line as ["text", "second text"] or {"text": "...", "text_pair": "..."}',
  single: 'write a line as "text" or {"text": "..."}',
};
const TEXT_ADVICE = { ...JSON_ADVICE, pairs: `pass --input-format jsonl and ${JSON_ADVICE.pairs}` };

async function* oneGroup<T>(group: T): AsyncGenerator<T> {
  yield group;
}

/** Says so where the first line looks like that of another format. */
async function* withNote(lines: AsyncIterable<string[]>, onNote: (note: string) => void): AsyncGenerator<string[]> {
  let isFirst = true;
  for await (const some of lines) {
    if (isFirst && some.length > 0) {
      const note = noteOn(some[0]!);
      if (note !== undefined) onNote(note);
      isFirst = false;
    }
    yield some;
  }
}

/** @throws BertuneError INVALID_DATA for a directory, which Node.js would take for an empty file */
function standardInput(): NodeJS.ReadStream {
  if (fstatSync(0).isDirectory()) {
    throw new BertuneError('INVALID_DATA', 'Standard input is a directory; pass a file with one text per line');
  }
  return process.stdin;
}

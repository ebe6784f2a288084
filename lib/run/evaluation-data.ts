import type { DatasetOptions, Split, SplitName } from '../data/types.js';
import { loadDataset } from '../dataset.js';
import { BertuneError } from '../errors.js';
import { isFile } from '../files/input.js';
import { formatCount } from '../report/format.js';
import { TrainedOn } from './trained-on.js';

/** What is measured, and what is to be known about it. */
export interface EvaluationData {
  readonly split: Split;
  readonly notes: readonly string[];
}

/** How data to measure a model on are chosen. */
export interface EvaluationChoice {
  /** The model, as it was given. */
  readonly model: string;
  /** Which split. Defaults to `test`, or to the whole of a file that was not trained on. */
  readonly split?: SplitName | undefined;
  readonly dataset: DatasetOptions;
  readonly signal: AbortSignal;
}

/**
 * A file to measure a model on.
 *
 * @throws BertuneError as loadDataset
 */
export async function fileToMeasure(file: string, choice: EvaluationChoice): Promise<EvaluationData> {
  const { model, dataset, signal } = choice;
  const { test, notes = [] } = await loadDataset({ test: file }, { ...dataset, signal });
  const split = test!;
  const trainedOn = await TrainedOn.of(model);
  const divided = await trainedOn?.divide(split, signal);
  if (divided !== undefined) {
    const [all, trained] = [split.texts.length, divided.train!.texts.length].map(formatCount);
    return {
      split,
      notes: [
        ...notes,
        `the model was trained on ${trained} of these ${all} rows; with --data ${file} those that were held out are measured`,
      ],
    };
  }
  return { split, notes: [...notes, ...(await trainingNotes(trainedOn, split, signal))] };
}

/**
 * The split of a data set to measure a model on. Of data that rows were held out of in training, it is these same rows.
 *
 * @throws BertuneError as loadDataset; INVALID_DATA where the data have changed since they were trained on; NOT_FOUND
 *   where nothing was held out for the split
 */
export async function splitToMeasure(source: string, choice: EvaluationChoice): Promise<EvaluationData> {
  const { model, split: name = 'test', dataset, signal } = choice;
  const isOneFile = await isFile(source);
  const trainedOn = await TrainedOn.of(model);
  const isDrawn = name === 'train' || trainedOn?.heldOut?.[name] !== undefined;
  const whole =
    isOneFile || (trainedOn?.heldOut !== undefined && isDrawn)
      ? await loadDataset(source, { ...dataset, splits: ['train'], signal })
      : undefined;
  const { train, notes = [] } = whole ?? {};
  const divided = train && (await trainedOn?.divide(train, signal));
  if (divided !== undefined) {
    const split = divided[name];
    if (split === undefined) throw notHeldOut(source, name);
    const note =
      name === 'train'
        ? TRAINED_ON
        : `measured: the ${formatCount(split.texts.length)} rows of ${source} that were held out for ${name} when the model was trained`;
    return { split, notes: [...notes, note] };
  }
  if (trainedOn?.heldOut !== undefined && (isDrawn || isOneFile) && trainedOn.isSource(source)) throw changed(source);
  if (train !== undefined && isOneFile && (choice.split ?? 'train') === 'train') {
    const { length } = train.texts;
    const note = `measured: ${length === 1 ? 'the only row' : `all ${formatCount(length)} rows`} of ${source}`;
    return { split: train, notes: [...notes, note, ...(await trainingNotes(trainedOn, train, signal))] };
  }
  const data = await loadDataset(source, { ...dataset, splits: [name], signal });
  const split = data[name]!;
  return { split, notes: [...(data.notes ?? []), ...(await trainingNotes(trainedOn, split, signal))] };
}

const TRAINED_ON = 'the model was trained on these rows: how it does on them says little about new texts';

async function trainingNotes(trainedOn: TrainedOn | undefined, split: Split, signal: AbortSignal): Promise<string[]> {
  return (await trainedOn?.isTrainingSplit(split, signal)) ? [TRAINED_ON] : [];
}

function notHeldOut(source: string, name: SplitName): BertuneError {
  const other = name === 'test' ? 'validation' : 'test';
  return new BertuneError(
    'NOT_FOUND',
    `No rows of ${source} were held out for ${name} when the model was trained: --split ${other} measures those that were`,
  );
}

function changed(source: string): BertuneError {
  return new BertuneError(
    'INVALID_DATA',
    `${source} is not what the model was trained on any more, or is read with other columns or labels: the rows that were ` +
      'held out cannot be told from the others. Name a file of rows that were not trained on with --test-file',
  );
}

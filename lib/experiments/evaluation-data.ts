import { selectRows } from '../data/split.js';
import type { DatasetOptions, Split, SplitName } from '../data/types.js';
import { BertuneError } from '../errors.js';
import { isFile } from '../files/input.js';
import { formatCount } from '../format.js';
import { datasetFor, type StatedTask } from './task.js';
import { type RowPlace, TrainingRows } from './training-rows.js';

/** What is measured, and what is to be known about it. */
export interface EvaluationData {
  readonly split: Split;
  readonly notes: readonly string[];
}

/** How data to measure a model on are chosen. */
export interface EvaluationChoice {
  /** The model, as it was given. */
  readonly model: string;
  /** Which split. Defaults to `test`, or to the whole of a file that the training knew nothing of. */
  readonly split?: SplitName | undefined;
  readonly dataset: DatasetOptions;
  /** The task that the model is for, unless `dataset` names it. */
  readonly stated: StatedTask | undefined;
  readonly signal: AbortSignal;
}

/**
 * A file to measure a model on: all of its rows.
 *
 * @throws BertuneError as loadDataset
 */
export async function fileToMeasure(file: string, choice: EvaluationChoice): Promise<EvaluationData> {
  const { model, dataset, stated, signal } = choice;
  const { test, notes = [] } = await datasetFor({ test: file }, { ...dataset, signal }, stated);
  const rows = await TrainingRows.of(model);
  return wholeSplit(test!, notes, (await rows?.places(test!, signal)) ?? [], ` with --data ${file}`);
}

/**
 * The split of a data set to measure a model on. What it does not have as files is found in its training rows: those that
 * were held out for it when the model was trained, whatever their order and whatever was added.
 *
 * @throws BertuneError as loadDataset; INVALID_DATA where all rows were trained on; NOT_FOUND where none was held out for
 *   the split
 */
export async function splitToMeasure(source: string, choice: EvaluationChoice): Promise<EvaluationData> {
  const { model, split: name = 'test', dataset, stated, signal } = choice;
  const rows = await TrainingRows.of(model);
  const isOneFile = await isFile(source);
  const only = (split: SplitName) => datasetFor(source, { ...dataset, splits: [split], signal }, stated);
  const isInTrain = isOneFile || name === 'train';
  // What a folder lacks may be among its training rows.
  const data = isInTrain
    ? await only('train')
    : rows === undefined
      ? await only(name)
      : await datasetFor(source, { ...dataset, signal }, stated);
  const { notes = [] } = data;
  const own = isInTrain ? undefined : data[name];
  if (own !== undefined) return wholeSplit(own, notes, (await rows?.places(own, signal)) ?? []);
  const train = data.train!;
  const places = (await rows?.places(train, signal)) ?? [];
  if (places.some((place) => place !== 'new')) {
    const chosen = chooseRows(train, places, source, choice.split);
    return { ...chosen, notes: [...notes, ...chosen.notes] };
  }
  if (choice.split !== 'train' && (!isOneFile || choice.split !== undefined)) await only(name);
  const { length } = train.texts;
  const all = `measured: ${length === 1 ? 'the only row' : `all ${formatCount(length)} rows`} of ${source}`;
  return { split: train, notes: isOneFile ? [...notes, all] : notes };
}

const TRAINED_ON = 'the model was trained on these rows: how it does on them says little about new texts';

/** A split of its own, and how much of it was trained on. */
function wholeSplit(
  split: Split,
  notes: readonly string[],
  places: readonly RowPlace[],
  heldOutWith?: string,
): EvaluationData {
  const { train, test } = countPlaces(places);
  if (train === 0) return { split, notes };
  if (train === places.length) return { split, notes: [...notes, TRAINED_ON] };
  const advice = heldOutWith !== undefined && test > 0 ? `;${heldOutWith} those that were held out are measured` : '';
  const trained = `the model was trained on ${formatCount(train)} of these ${formatCount(places.length)} rows`;
  return { split, notes: [...notes, `${trained}${advice}`] };
}

/** The rows of some that the training knew, for a split or the one that says most of new texts. */
function chooseRows(
  split: Split,
  places: readonly RowPlace[],
  source: string,
  name: SplitName | undefined,
): EvaluationData {
  const counts = countPlaces(places);
  const wanted: RowPlace = counts[name ?? 'test'] > 0 ? (name ?? 'test') : 'new';
  if (name !== undefined && wanted === 'new') throw notHeldOut(source, name, counts);
  // A file of validation rows was asked for by its name.
  if (wanted === 'new' && counts.train === 0) {
    const held = `${formatCount(counts.validation)} of these ${formatCount(places.length)} rows were held out for validation`;
    return { split, notes: [`${held} when the model was trained`] };
  }
  if (counts[wanted] === 0) throw allTrained(source, counts);
  const count = counts[wanted] === 1 ? 'row' : `${formatCount(counts[wanted])} rows`;
  const one = counts[wanted] === 1;
  const how = {
    train: 'that the model was trained on',
    validation: `that ${one ? 'was' : 'were'} held out for validation when the model was trained`,
    test: `that ${one ? 'was' : 'were'} held out for test when the model was trained`,
    new: `that ${one ? 'is' : 'are'} new to the model`,
  }[wanted];
  return {
    split: selectRows(split, (row) => places[row] === wanted),
    notes: [
      `measured: the ${count} of ${source} ${how}`,
      ...rest(counts, wanted, places.length),
      ...(wanted === 'train' ? [TRAINED_ON] : []),
    ],
  };
}

type Counts = Readonly<Record<RowPlace, number>>;

function countPlaces(places: readonly RowPlace[]): Counts {
  const counts = { train: 0, validation: 0, test: 0, new: 0 };
  for (const place of places) counts[place] += 1;
  return counts;
}

/** A line on the rows that are not measured. */
function rest(counts: Counts, wanted: RowPlace, total: number): string[] {
  const kinds = (
    [
      ['train', 'trained on'],
      ['test', 'held out for test'],
      ['validation', 'held out for validation'],
      ['new', 'new'],
    ] as const
  ).filter(([place]) => place !== wanted && counts[place] > 0);
  if (kinds.length === 0) return [];
  const words = kinds.map(([place, what], i) => {
    const [singular, plural] = place === 'new' ? ['is', 'are'] : ['was', 'were'];
    const of = i === 0 ? ` of ${formatCount(total)} rows` : '';
    return `${formatCount(counts[place])}${of} ${counts[place] === 1 ? singular : plural} ${what}`;
  });
  return [`${[words.slice(0, -1).join(', '), words.at(-1)].filter(Boolean).join(' and ')}: not measured`];
}

function notHeldOut(source: string, name: SplitName, counts: Counts): BertuneError {
  const other = (['test', 'validation', 'train'] as const).find((each) => counts[each] > 0);
  const what = name === 'train' ? 'trained on' : `held out for ${name} when the model was trained`;
  return new BertuneError(
    'NOT_FOUND',
    `No rows of ${source} were ${what}: --split ${other} measures those that it has`,
  );
}

function allTrained(source: string, { train, validation }: Counts): BertuneError {
  const held = validation > 0 ? ', or those that were held out for validation with --split validation' : '';
  return new BertuneError(
    'INVALID_DATA',
    `The model was trained on ${validation > 0 ? '' : 'all '}${formatCount(train)} rows of ${source}, so they say little about ` +
      `new texts, and none was held out for test: measure it on rows that it has not seen${held}, or on these all the same with --split train`,
  );
}

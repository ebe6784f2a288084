import { formatCount } from '../../format.js';
import { option } from '../../options/names.js';
import { taskOf } from '../../tasks/index.js';
import { areNumbers } from '../../tasks/labels.js';
import { foldText } from '../same-texts.js';
import { labelCounts } from '../split.js';
import { SPLIT_NAMES, type TextDataset } from '../types.js';
import { type Finding, isMissingLabel, listed, quoted } from './finding.js';

/** Classes of fewer training rows are hardly learnt, nor those of so small a share of the largest. */
const RARE_ROWS = 10;
const RARE_SHARE = 0.01;

/** From here on accuracy says little, and weights help. */
const IMBALANCE = 10;

/** A class with its rows, in training and in all splits. */
interface CountedClass {
  readonly name: string;
  readonly train: number;
  readonly all: number;
}

/** What is to be said of the classes of a data set. */
export function classFindings(data: TextDataset): Finding[] {
  const only = oneClass(data);
  if (only !== undefined) return [only];
  const kind = taskOf(data.task).labels;
  if (kind === 'values') return [];
  const classes = countClasses(data);
  const rows = SPLIT_NAMES.reduce((sum, name) => sum + (data[name]?.texts.length ?? 0), 0);
  return [
    spellings(classes),
    missing(classes, rows),
    rare(data, classes),
    unmeasured(data),
    ...(kind === 'class' ? [imbalance(data, classes)] : constant(data)),
  ].flatMap((finding) => finding ?? []);
}

/** The finding that all training rows have one label, or one value; undefined where they do not, or there are none. */
export function oneClass(data: TextDataset): Finding | undefined {
  const { train } = data;
  if (train === undefined) return undefined;
  const { texts, labels, labelNames } = train;
  const width = labels.length / texts.length;
  if (labels.some((label, i) => label !== labels[i % width])) return undefined;
  const kind = taskOf(data.task).labels;
  const label = {
    class: () => labelNames[labels[0]!]!,
    classes: () => labelNames.filter((_, i) => labels[i] === 1).join(', '),
    values: () => Array.from(labels.subarray(0, width), String).join(', '),
  }[kind]();
  // Rows that were held out are of the same file, and leave every class in training.
  const ofFile = SPLIT_NAMES.flatMap((name) => data[name] ?? []).filter(({ source }) => source === train.source);
  const count = ofFile.reduce((sum, { texts }) => sum + texts.length, 0);
  return {
    kind: 'one-class',
    splits: ['train'],
    count,
    total: count,
    examples: [label],
    text:
      `${count === 1 ? 'the only row' : `all ${formatCount(count)} rows`} of ${train.source} ` +
      `${count === 1 ? 'is' : 'are'} labeled ${quoted(label)}: ${kind === 'class' ? 'a classifier needs at least two classes' : 'there is nothing to learn'}`,
  };
}

function countClasses(data: TextDataset): CountedClass[] {
  const bySplit = SPLIT_NAMES.map((name) =>
    data[name] === undefined ? new Int32Array(data.labels.length) : labelCounts(data[name]),
  );
  return data.labels.map((name, i) => ({
    name,
    train: bySplit[0]![i]!,
    all: bySplit.reduce((sum, counts) => sum + counts[i]!, 0),
  }));
}

const words = ({ name, all }: CountedClass, unit = '') => `${quoted(name)} (${formatCount(all)}${unit})`;

function spellings(classes: readonly CountedClass[]): Finding | undefined {
  const occurring = classes.filter(({ all }) => all > 0);
  const byFolded = new Map<string, CountedClass[]>();
  for (const each of occurring) byFolded.set(foldText(each.name), [...(byFolded.get(foldText(each.name)) ?? []), each]);
  const alike = [...byFolded.values()].filter(({ length }) => length > 1);
  if (alike.length === 0) return undefined;
  const groups = alike.map((group) =>
    group.sort((a, b) => b.all - a.all).map((each, i) => words(each, i === 0 ? ' rows' : '')),
  );
  const several = alike.flat();
  return {
    kind: 'label-spelling',
    splits: [],
    count: several.length,
    total: occurring.length,
    examples: several.slice(0, 4).map(({ name }) => name),
    text:
      `${several.length} of ${occurring.length} classes differ from another in case or spaces alone: ` +
      `${listed(
        groups.map((group) => group.join(' and ')),
        '; ',
      )}. Where they are the same class, name each class once with ${option('labels')}, and they are read as one`,
  };
}

function missing(classes: readonly CountedClass[], rows: number): Finding | undefined {
  const found = classes.filter(({ name, all }) => all > 0 && isMissingLabel(name)).sort((a, b) => b.all - a.all);
  if (found.length === 0) return undefined;
  const count = found.reduce((sum, { all }) => sum + all, 0);
  const [one] = found;
  const names = found.length === 1 ? quoted(one!.name) : listed(found.map((each) => words(each)));
  const looks =
    found.length === 1
      ? 'looks like a missing value and is trained as a class'
      : 'look like missing values and are trained as classes';
  return {
    kind: 'label-missing',
    splits: [],
    count,
    total: rows,
    examples: found.map(({ name }) => name),
    text:
      `${formatCount(count)} of ${formatCount(rows)} rows are labeled ${names}, which ${looks}: remove these rows unless ` +
      `${found.length === 1 ? 'it is one' : 'they are'}`,
  };
}

/** Classes that are trained and that validation or test have no rows of. */
function unmeasured(data: TextDataset): Finding | undefined {
  const { train } = data;
  if (train === undefined) return undefined;
  const trained = labelCounts(train);
  const lacking = (['test', 'validation'] as const).flatMap((split) => {
    if (data[split] === undefined) return [];
    const counts = labelCounts(data[split]);
    const names = data.labels
      .map((name, i) => ({ name, rows: trained[i]!, count: counts[i]! }))
      .filter(({ rows, count }) => rows > 0 && count === 0)
      .sort((a, b) => a.rows - b.rows)
      .map(({ name }) => name);
    return names.length === 0 ? [] : [{ split, names }];
  });
  if (lacking.length === 0) return undefined;
  const all = [...new Set(lacking.flatMap(({ names }) => names))];
  const where = lacking.map(
    ({ split, names }) => `${listed(names.map(quoted))} ${names.length === 1 ? 'has' : 'have'} no rows in ${split}`,
  );
  return {
    kind: 'unmeasured-class',
    splits: lacking.map(({ split }) => split),
    count: all.length,
    total: data.labels.length,
    examples: all.slice(0, 5),
    text: `${where.join('; ')}: nothing is known there about how well ${all.length === 1 ? 'it is' : 'they are'} found`,
  };
}

function rare({ train }: TextDataset, classes: readonly CountedClass[]): Finding | undefined {
  if (train === undefined) return undefined;
  const most = Math.max(...classes.map((each) => each.train));
  const few = Math.max(RARE_ROWS, most * RARE_SHARE);
  const rarest = classes.filter((each) => each.train < few).sort((a, b) => a.train - b.train);
  if (rarest.length === 0) return undefined;
  const names = rarest.map((each) => `${quoted(each.name)} (${formatCount(each.train)})`);
  return {
    kind: 'rare-class',
    splits: ['train'],
    count: rarest.length,
    total: classes.length,
    examples: rarest.slice(0, 5).map(({ name }) => name),
    text:
      `${rarest.length} of ${classes.length} classes ${rarest.length === 1 ? 'has' : 'have'} fewer than ` +
      `${formatCount(Math.ceil(few))} training rows: ${listed(names)}. Add rows, or merge them with other classes`,
  };
}

/** Labels that all training rows have. */
function constant({ train }: TextDataset): Finding[] {
  if (train === undefined) return [];
  const counts = labelCounts(train);
  const total = train.texts.length;
  const names = train.labelNames.filter((_, label) => counts[label] === total);
  if (names.length === 0) return [];
  return [
    {
      kind: 'constant-label',
      splits: ['train'],
      count: names.length,
      total: train.labelNames.length,
      examples: names.slice(0, 5),
      text:
        `all ${formatCount(total)} training rows have the label${names.length === 1 ? '' : 's'} ${listed(names.map(quoted))}: ` +
        'there is nothing to learn about it; leave it out, or add rows without it',
    },
  ];
}

function imbalance({ train }: TextDataset, classes: readonly CountedClass[]): Finding | undefined {
  const [smallest, ...others] = classes.filter((each) => each.train > 0).sort((a, b) => a.train - b.train);
  const largest = others.at(-1);
  if (train === undefined || smallest === undefined || largest === undefined) return undefined;
  const ratio = largest.train / smallest.train;
  if (ratio <= IMBALANCE) return undefined;
  return {
    kind: 'imbalance',
    splits: ['train'],
    count: smallest.train,
    total: train.labels.length,
    examples: [smallest.name, largest.name],
    text:
      `${quoted(largest.name)} has ${formatCount(largest.train)} of ${formatCount(train.labels.length)} training rows, ` +
      `${quoted(smallest.name)} ${formatCount(smallest.train)}: try ${option('classWeights', 'balanced')}, and ` +
      'judge by macro F1 rather than accuracy',
  };
}

/** Whether names say what is in a text, and are no numbers. */
export function areWords(names: readonly string[]): boolean {
  return !areNumbers(names) && names.every((name) => name.length > 1 && Number.isNaN(Number(name)));
}

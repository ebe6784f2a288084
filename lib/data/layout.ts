import { BertuneError } from '../errors.js';
import { type Card, chooseConfig } from './card.js';
import { extensionOf, isDataFile } from './file-kind.js';
import { globPaths } from './glob.js';
import { SPLIT_NAMES, type SplitName } from './types.js';

/** The files of each split, relative to the root, in order; empty where it has none. */
export type SplitFiles = Record<SplitName, string[]>;

/** What a split's files or folders are called, as Hugging Face's `datasets` knows them. */
const KEYWORDS: Readonly<Record<SplitName, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};

/** What stands between a keyword and the rest of a name. */
const SEPARATOR = '[-._ 0-9]';

/** Files that are about the data, or read by other programs. */
const NOT_DATA = /(^|\/)(dataset_infos?|dataset_dict|state|package|package-lock)\.json$/i;

/**
 * Chooses the files of a data set's splits: by its card's configuration, or by names, as Hugging Face's `datasets`
 * does. `data/train-00000-of-00003.parquet`, `train/part.csv` and `train.csv` are training files; where nothing in a
 * data set is named after a split, all of it is.
 *
 * @param paths every file of the folder or repository, relative to its root, with slashes
 * @param card of the data set; null where it has none
 * @param config the configuration to take. Defaults to the card's own default
 * @throws BertuneError NOT_FOUND: no such configuration, a pattern of it that no file fits · INVALID_OPTION: several
 *   configurations, none the default · INVALID_DATA: files of one split that do not belong together
 */
export function dataFiles(paths: readonly string[], card: Card | null, config?: string): SplitFiles {
  const chosen = chooseConfig(card, config);
  const inside = chosen?.directory ? paths.filter((path) => path.startsWith(`${chosen.directory}/`)) : [...paths];
  const candidates = inside.filter(isCandidate).sort();
  const files =
    chosen !== null && chosen.files.length > 0
      ? filesOfConfig(candidates, chosen.directory, chosen.name, chosen.files)
      : filesByName(candidates, chosen?.directory ?? '');
  for (const name of SPLIT_NAMES) expectOneKind(name, files[name]);
  return files;
}

function isCandidate(path: string): boolean {
  return isDataFile(path) && !NOT_DATA.test(path) && !/(^|\/)(\.|__)/.test(path);
}

/**
 * A split of the configuration under one of the usual names, or else the first whose name starts with one; its files in
 * the order of its patterns, as `datasets` reads them.
 */
function filesOfConfig(
  paths: readonly string[],
  directory: string,
  config: string,
  splits: readonly { split: string; patterns: readonly string[] }[],
): SplitFiles {
  const files = emptySplits();
  for (const name of SPLIT_NAMES) {
    const starts = new RegExp(`^(?:${KEYWORDS[name].join('|')})(?:${SEPARATOR}|$)`, 'i');
    const wanted =
      splits.find(({ split }) => KEYWORDS[name].includes(split.toLowerCase())) ??
      splits.find(({ split }) => starts.test(split));
    if (wanted === undefined) continue;
    if (splits.filter(({ split }) => split === wanted.split).length > 1) {
      throw new BertuneError('INVALID_DATA', `Expected the split ${wanted.split} once in the configuration ${config}`);
    }
    const patterns = wanted.patterns.map((glob) => (directory === '' ? glob : `${directory}/${glob}`));
    files[name] = globPaths(patterns, paths);
    if (files[name].length === 0) {
      throw new BertuneError(
        'NOT_FOUND',
        `Expected files of the split ${wanted.split} of the configuration ${config} at ${wanted.patterns.join(', ')} but found none`,
      );
    }
  }
  return files;
}

/** By shards in data/, else by the names of folders, else by those of files, else everything is for training. */
function filesByName(paths: readonly string[], root: string): SplitFiles {
  const below = (path: string) => (root === '' ? path : path.slice(root.length + 1));
  const rules: ((keyword: string) => RegExp)[] = [
    (keyword) => new RegExp(`^data/${keyword}-\\d{5}-of-\\d{5}[^/]*$`, 'i'),
    (keyword) => new RegExp(`(^|/)([^/]*${SEPARATOR})?${keyword}(${SEPARATOR}[^/]*)?/`, 'i'),
    (keyword) => new RegExp(`(^|/)([^/]*${SEPARATOR})?${keyword}${SEPARATOR}[^/]*$`, 'i'),
  ];
  for (const rule of rules) {
    const files = emptySplits();
    for (const name of SPLIT_NAMES) {
      const patterns = KEYWORDS[name].map(rule);
      files[name] = paths.filter((path) => patterns.some((pattern) => pattern.test(below(path))));
      expectOneName(name, files[name].map(below), patterns);
    }
    if (SPLIT_NAMES.some((name) => files[name].length > 0)) return withoutRepeats(files);
  }
  return { ...emptySplits(), train: paths.filter((path) => !/\.(txt|json)(\.gz)?$/i.test(path)) };
}

/** A name like `train-test.csv` fits two splits: refused, since nothing tells which it is. */
function withoutRepeats(files: SplitFiles): SplitFiles {
  const seen = new Map<string, SplitName>();
  for (const name of SPLIT_NAMES) {
    for (const path of files[name]) {
      const other = seen.get(path);
      if (other !== undefined) {
        throw new BertuneError('INVALID_DATA', `Expected ${path} to name one split but it names ${other} and ${name}`);
      }
      seen.set(path, name);
    }
  }
  return files;
}

/** Parts of a split end alike: `train.csv` beside `train.jsonl` is a doubt. */
function expectOneKind(name: SplitName, paths: readonly string[]): void {
  if (new Set(paths.map(extensionOf)).size > 1) throw doubt(name, paths);
}

/** Parts of a split are called alike: `val.csv` beside `dev.csv` is a doubt. */
function expectOneName(name: SplitName, paths: readonly string[], keywords: readonly RegExp[]): void {
  if (keywords.filter((keyword) => paths.some((path) => keyword.test(path))).length > 1) throw doubt(name, paths);
}

function doubt(name: SplitName, paths: readonly string[]): BertuneError {
  const listed = paths.slice(0, 10).join(' and ');
  return new BertuneError(
    'INVALID_DATA',
    `Expected one ${name} file, or parts that are called alike, but found ${listed}`,
  );
}

function emptySplits(): SplitFiles {
  return { train: [], validation: [], test: [] };
}

import { join, relative, sep } from 'node:path';
import { BertuneError } from '../errors.js';
import { readError } from '../files/errors.js';
import { readdir, stat } from '../files/fs.js';
import { isDirectory, readText } from '../files/input.js';
import { findDataset } from '../hub/index.js';
import { option } from '../options/names.js';
import { expectObject, expectPath, invalidOption, isArray } from '../options/validation.js';
import { type Card, cardClassNames, chooseConfig, readCard } from './card.js';
import { dataFiles, type SplitFiles } from './layout.js';
import { type DatasetOptions, SPLIT_NAMES } from './types.js';

/** The files of a data set, one or several a split; at least one split. */
export interface DatasetFiles {
  train?: string | readonly string[] | undefined;
  validation?: string | readonly string[] | undefined;
  test?: string | readonly string[] | undefined;
}

/** Where a data set's rows are. */
export interface FoundFiles {
  files: SplitFiles;
  /** Whether the files were chosen in a folder, not named by the caller. */
  discovered: boolean;
  /** The classes that the folder's card names for a column. */
  classNames?: (column: string) => readonly string[] | undefined;
}

/** How deep a folder is searched. */
const MOST_LEVELS = 6;

/** Files and folders that are looked at in one, so that links which multiply come to an end. */
const MOST_ENTRIES = 100_000;

/** Far above any card. */
const MOST_CARD_BYTES = 16 * 2 ** 20;

/**
 * The files of a source: those of a folder, the one file that a path is, those of a data set on the hub, or those that are
 * named.
 *
 * @param options which configuration of the card; whether to stop
 * @throws BertuneError NOT_FOUND, INVALID_DATA, INVALID_OPTION; for the hub as findDataset
 */
export async function findFiles(
  source: string | DatasetFiles,
  { config, signal, onProgress }: Pick<DatasetOptions, 'config' | 'signal' | 'onProgress'>,
): Promise<FoundFiles> {
  if (typeof source !== 'string') {
    expectNoConfig(config);
    return { files: expectFiles(source), discovered: false };
  }
  const select = (paths: readonly string[], card: string | null) =>
    Object.values(dataFiles(paths, card === null ? null : readCard(card), config)).flat();
  const { directory } = await findDataset(source, {
    select,
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  });
  if ((await stat(directory)).isDirectory()) return findInFolder(directory, config);
  expectNoConfig(config);
  return { files: { train: [directory], validation: [], test: [] }, discovered: false };
}

/** Only folders and the hub have cards. */
function expectNoConfig(config: string | undefined): void {
  if (config === undefined) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('config')} chooses a configuration of a folder or of a data set on the hub; leave it out for files`,
  );
}

function expectFiles(files: DatasetFiles): SplitFiles {
  const given = expectObject('source', files, SPLIT_NAMES);
  const chosen: SplitFiles = { train: [], validation: [], test: [] };
  for (const name of SPLIT_NAMES) {
    const value: unknown = given[name];
    if (value === undefined) continue;
    if (!isArray(value)) chosen[name] = [expectPath(`source.${name}`, value)];
    else chosen[name] = Array.from({ length: value.length }, (_, i) => expectPath(`source.${name}[${i}]`, value[i]));
    if (chosen[name].length === 0) throw invalidOption(`source.${name}`, 'a path or several', value);
  }
  if (SPLIT_NAMES.every((name) => given[name] === undefined)) {
    throw invalidOption('source', 'a file for train, validation or test', files);
  }
  return chosen;
}

async function findInFolder(folder: string, config: string | undefined): Promise<FoundFiles> {
  const paths = await listFiles(folder);
  const card = await readFolderCard(folder);
  const relativeFiles = naming(folder, () => dataFiles(paths, card, config));
  if (relativeFiles.train.length === 0) {
    const there = paths.length === 0 ? 'nothing' : paths.sort().slice(0, 10).join(', ');
    const expected = 'train.csv, train.jsonl, train.parquet or another training file';
    throw new BertuneError('NOT_FOUND', `Expected ${expected} in ${folder} but found ${there}`);
  }
  const files = Object.fromEntries(
    SPLIT_NAMES.map((name) => [name, relativeFiles[name].map((path) => join(folder, path))]),
  ) as unknown as SplitFiles;
  const chosen = chooseConfig(card, config)?.name ?? null;
  return { files, discovered: true, classNames: (column) => cardClassNames(card, chosen, column) };
}

/**
 * The files of a folder and those in it, relative to the root, with slashes; hidden ones are left out, and links to a
 * folder that the link is in.
 */
async function listFiles(root: string): Promise<string[]> {
  const files: string[] = [];
  let entries = 0;
  const list = async (folder: string, above: readonly string[]) => {
    const refuse = (cause: unknown) => {
      throw readError(folder, cause, 'INVALID_DATA');
    };
    const { dev, ino } = await stat(folder).catch(refuse);
    const identity = `${dev}:${ino}`;
    if (above.includes(identity)) return;
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(refuse)) {
      if (entry.name.startsWith('.')) continue;
      if (++entries > MOST_ENTRIES) {
        throw new BertuneError('INVALID_DATA', `Expected at most ${MOST_ENTRIES} files in ${root} but found more`);
      }
      const path = join(folder, entry.name);
      // The hub's cache is made of links.
      const isFolder = entry.isSymbolicLink() ? await isDirectory(path) : entry.isDirectory();
      if (!isFolder) files.push(relative(root, path).split(sep).join('/'));
      else if (above.length + 1 < MOST_LEVELS) await list(path, [...above, identity]);
    }
  };
  await list(root, []);
  return files;
}

/** Does what throws errors that know paths in a folder, but not the folder. */
function naming<T>(folder: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof BertuneError)) throw cause;
    throw new BertuneError(cause.code, `${cause.message} (in ${folder})`, { cause });
  }
}

async function readFolderCard(folder: string): Promise<Card | null> {
  const path = join(folder, 'README.md');
  const text = await readText(path, MOST_CARD_BYTES, 'INVALID_DATA').catch((cause) => {
    if (cause instanceof BertuneError && cause.code === 'NOT_FOUND') return null;
    throw cause;
  });
  return text === null ? null : readCard(text, path);
}

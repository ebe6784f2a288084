import { basename, isAbsolute, join, relative, resolve, sep, win32 } from 'node:path';
import { BertuneError } from '../errors.js';
import { isDirectory } from '../files/input.js';
import { JOURNAL_FILE, readJournal } from '../files/journal.js';
import { OWN_BASE } from '../files/model-files.js';
import { realPlace } from '../files/paths.js';
import { isCheckpoint } from '../formats/checkpoint.js';
import { EMBEDDED_MODEL, embeddedModel, howToInstall, wasEmbeddedModel } from '../hub/embedded.js';
import { parseHubId } from '../hub/id.js';
import { type FindOptions, type Found, findModel } from '../hub/index.js';
import { type Adapter, isAdapter } from '../methods/adapter/files.js';
import { option } from '../options/names.js';

/** Where a model's frozen weights come from. */
export interface Base {
  /** As the caller gave it; of a model on the hub, its id. */
  name: string;
  onHub: boolean;
  /** Its branch, tag or commit on the hub, where one was asked for; null otherwise. */
  revision: string | null;
  /** Its files, the tokenizer's as well. Absolute: the process may change its working directory. */
  directory: string;
  /** Names of its classifier's rows, in the order of its file; null where nothing names them. */
  labels: readonly string[] | null;
  /** Whether the weights under an adapter are exactly those that the name leads to. */
  intact: boolean;
}

/*
 * How an adapter names the checkpoint under it, so that the name holds when both are moved: the model that comes with the
 * package by its name, a model of the hub by its id, a folder by its path from the adapter's directory. Such a path begins
 * with a dot: it cannot be taken for an id, and a folder is never asked of the hub.
 */

/** What an adapter's files say of its base. */
export type BaseName = Required<Pick<Adapter, 'baseModel' | 'baseRevision' | 'baseKind'>>;

const howToNameIt = () => `say where it is with ${option('base')}: a folder, or an id of the hub`;

/**
 * What the files of an adapter are to say of its base.
 *
 * @param directory of the adapter, as it will be called
 */
export async function nameOfBase({ name, onHub, revision, directory: base }: Base, directory: string) {
  if (onHub) return { baseModel: name, baseRevision: revision, baseKind: 'hub' } satisfies BaseName;
  const place = await realPlace(base);
  const embedded = embeddedModel();
  if (embedded !== undefined && place === (await realPlace(embedded))) {
    return { baseModel: EMBEDDED_MODEL, baseRevision: null, baseKind: 'built-in' } satisfies BaseName;
  }
  return pathOfBase(place, await realPlace(directory));
}

/** What the files of an adapter are to say of the base that is saved in its own directory. */
export function nameOfOwnBase(): BaseName {
  return pathOfBase(OWN_BASE, '.');
}

function pathOfBase(base: string, directory: string): BaseName {
  const path = relative(directory, base);
  // There is none to another drive.
  const from = isAbsolute(path) ? path : path.split(sep).join('/');
  const isPlain = isAbsolute(from) || /^\.\.(\/|$)/.test(from);
  return { baseModel: isPlain ? from : `./${from}`, baseRevision: null, baseKind: 'folder' };
}

/**
 * The folder in which an adapter's base is, without asking the hub.
 *
 * @param directory of the adapter
 * @returns null where it is not here, or on the hub
 */
export async function localBase(directory: string, adapter: Adapter): Promise<string | null> {
  for (const place of await placesOf(directory, adapter)) if (await isCheckpoint(place)) return place;
  return null;
}

/**
 * The checkpoint that an adapter says it belongs on: a folder, the model that comes with the package, or a model of the hub.
 *
 * @param directory of the adapter
 * @throws BertuneError NOT_FOUND naming the places that were looked at; for a model of the hub as findModel
 */
export async function findBase(directory: string, adapter: Adapter, options: FindOptions): Promise<Found> {
  const { baseModel: named, baseRevision, baseKind } = adapter;
  const place = await localBase(directory, adapter);
  if (place !== null) {
    const found = await findSettled(place);
    const moved =
      named !== null && named !== EMBEDDED_MODEL && place === embeddedModel() && !(await isDirectory(named));
    return moved ? { ...found, notes: [...found.notes, takenForEmbedded(directory, named)] } : found;
  }
  if (baseKind === 'built-in') {
    throw new BertuneError(
      'NOT_FOUND',
      `The base model of the adapter ${directory} is ${EMBEDDED_MODEL}, which is part of ${howToInstall()}; or ${howToNameIt()}`,
    );
  }
  if (named === null || looksLikePath(named) || parseHubId(named) === null) {
    throw new BertuneError(
      'NOT_FOUND',
      `The base model of the adapter ${directory}${named === null ? ', which names none,' : `, ${named},`} is not ` +
        `here: ${await looked(await placesOf(directory, adapter))}; ${howToNameIt()}`,
    );
  }
  const isId = baseKind === 'hub' || baseRevision;
  const folders = isId ? '' : ` (${await looked(await placesOf(directory, adapter))})`;
  const found = await findSettled(named, { ...options, ...(baseRevision ? { revision: baseRevision } : {}) }).catch(
    (cause) => {
      if (!(cause instanceof BertuneError) || cause.code === 'ABORTED' || cause.code === 'INVALID_OPTION') throw cause;
      throw new BertuneError(
        cause.code,
        `The base model of the adapter ${directory} is ${named}${folders}. As an id of the hub: ${cause.message}; ` +
          howToNameIt(),
        { cause },
      );
    },
  );
  // Saved here before the files said what a name is: it may have been a folder's.
  if (isId || !adapter.labels) return found;
  const note = `The base model ${named} was taken from the hub${folders}. If it was a folder, ${howToNameIt()}.`;
  return { ...found, notes: [...found.notes, note] };
}

/** Where an adapter's base may be on this machine, the likeliest first. Absolute. */
async function placesOf(directory: string, { baseModel: named, baseKind }: Adapter): Promise<string[]> {
  const own = resolve(directory, OWN_BASE);
  if (named === null) return [own];
  if (baseKind === 'built-in') return embeddedPlaces();
  // A folder of the id in the working directory goes before the hub, as everywhere.
  if (baseKind === 'hub') return [resolve(named)];
  const places = isAnyAbsolute(named)
    ? [named]
    : [resolve(await realPlace(directory), named), resolve(directory, named)];
  if (baseKind !== 'folder') {
    // Of other tools, and saved here before: relative to the working directory of the time. What `save` had put beside the
    // adapter goes first: where its path led, another may be by now.
    if (basename(named.replaceAll('\\', '/')) === OWN_BASE) places.unshift(own);
    if (!isAnyAbsolute(named)) places.push(resolve(named));
    if (named === EMBEDDED_MODEL || wasEmbeddedModel(named)) places.push(...embeddedPlaces());
  }
  return [...new Set(places)];
}

/** Where the sample model is: nowhere, where it is not installed. */
function embeddedPlaces(): string[] {
  const place = embeddedModel();
  return place === undefined ? [] : [place];
}

/** Whether a name is a path and no id, on whatever system it was written. */
function looksLikePath(name: string): boolean {
  return isAnyAbsolute(name) || /^\.{1,2}([/\\]|$)/.test(name);
}

function isAnyAbsolute(name: string): boolean {
  return isAbsolute(name) || win32.isAbsolute(name);
}

function takenForEmbedded(directory: string, named: string): string {
  return `The base model of ${directory}, ${named}, is not here; it is taken for the built-in ${EMBEDDED_MODEL}.`;
}

/** The places where there is no checkpoint, and what is there. */
async function looked(places: readonly string[]): Promise<string> {
  const words = places.map(async (place) => {
    if (await isAdapter(place)) return `${place} is an adapter, no checkpoint`;
    return (await isDirectory(place)) ? `${place} holds no config.json` : `there is no folder ${place}`;
  });
  return (await Promise.all(words)).join(', ');
}

/** A model, as findModel finds it, with a note where its directory may hold what readers cannot know to belong together. */
export async function findSettled(source: string, options: FindOptions = {}): Promise<Found> {
  const found = await findModel(source, options);
  const { directory, notes } = found;
  if ((await readJournal(directory)) !== 'foreign') return found;
  const note =
    `Ignored ${join(directory, JOURNAL_FILE)}, which was not written here. If ${directory} is a copy of a directory in ` +
    'which a save was interrupted, its files may come from two models: copy it again. Otherwise delete that file.';
  return { ...found, notes: [...notes, note] };
}

import { basename, join, resolve } from 'node:path';
import type { HeadKind } from '../architectures/rows.js';
import { frontMatterOf } from '../data/card.js';
import { lstat } from '../files/fs.js';
import { readText } from '../files/input.js';
import { CARD_FILE } from '../files/model-files.js';
import { dataFile, type OutputFile, writeFilesAtomic } from '../files/output.js';
import { EMBEDDED_MODEL, embeddedModel } from '../hub/embedded.js';
import { parseHubId } from '../hub/id.js';
import { definitionOf } from '../methods/index.js';
import { expectObject, expectString, invalidOption } from '../options/validation.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { isOwnCard, modelCard } from './card.js';
import type { AnyClassifier } from './classifier.js';

/** What a model's card says beyond what the model knows about itself. */
export interface CardOptions {
  /** Identifier of the license, e.g. `apache-2.0`. Defaults to that of the base's card, if there is one and it names a license. */
  license?: string | undefined;
  /** Hub id of the data set that it was trained on. Defaults to none. */
  dataset?: string | undefined;
  /** The metrics to show. Defaults to the last evaluation on the validation split in training. */
  evaluation?: EvaluateResult | undefined;
  /** The split that was evaluated. Defaults to 'test'. */
  split?: string | undefined;
}

/** Much longer than any card. */
const MOST_CARD_BYTES = 2 ** 20;

/** @throws BertuneError INVALID_OPTION */
export function expectCard(value: unknown): CardOptions | false {
  if (value === false) return false;
  const given = expectObject('card', (value ?? {}) as CardOptions, ['license', 'dataset', 'evaluation', 'split']);
  for (const name of ['license', 'split'] as const)
    if (given[name] !== undefined) expectString(`card.${name}`, given[name]);
  if (given.dataset !== undefined && (typeof given.dataset !== 'string' || parseHubId(given.dataset) === null)) {
    throw invalidOption('card.dataset', 'an id of the hub', given.dataset);
  }
  if (given.evaluation !== undefined) expectObject('card.evaluation', given.evaluation, Object.keys(given.evaluation));
  return given;
}

/** What a model is saved as. */
interface SavedAs {
  files: 'as trained' | 'alone';
  head: HeadKind;
}

/** Writes a model's card to the directory that it was saved in, as `cardFiles` has it. @throws BertuneError OUTPUT_REFUSED */
export async function writeCard(
  model: AnyClassifier,
  directory: string,
  as: SavedAs,
  options: CardOptions,
): Promise<void> {
  await writeFilesAtomic(directory, await cardFiles(model, directory, as, options));
}

/** A model's card, for writeFilesAtomic; none where a README.md that somebody else wrote, or changed, is in the directory. */
export async function cardFiles(
  model: AnyClassifier,
  directory: string,
  { files, head }: SavedAs,
  options: CardOptions,
): Promise<OutputFile[]> {
  if (!(await mayReplace(join(directory, CARD_FILE)))) return [];
  const { base, method, labels, task, temperature, longTexts, training } = model;
  const { evaluation, split = 'test', dataset } = options;
  const measured = evaluation ? { split, result: evaluation } : (training?.measured ?? null);
  const isAdapter = method !== null && definitionOf(method.kind).adapter !== null && files === 'as trained';
  const isEmbedded = resolve(base.directory) === embeddedModel();
  const words = base.onHub ? base.name : isEmbedded ? EMBEDDED_MODEL : basename(base.directory);
  const card = modelCard({
    // Wherever a model is saved, its files are the same.
    name: method === null ? words : `${words.split('/').at(-1)}-${method.kind}`,
    // A path of this machine means nothing elsewhere.
    base: { id: base.onHub ? base.name : null, words },
    license: options.license ?? (await licenseOf(base.directory)),
    dataset: dataset === undefined ? null : parseHubId(dataset)!.name,
    ...{ task, labels, method, temperature, longTexts, measured },
    files: isAdapter ? 'adapter' : head === 'probe' ? 'probe' : 'checkpoint',
    training: training?.facts ?? null,
  });
  return [dataFile(CARD_FILE, card)];
}

/** Whether there is no such file, or one that was written here and is as it was. */
async function mayReplace(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return true;
  return found.isFile() && isOwnCard(await readText(path, MOST_CARD_BYTES).catch(() => ''));
}

/** The license in the front matter of a directory's card; null where there is none to be read. */
async function licenseOf(directory: string): Promise<string | null> {
  const text = await readText(join(directory, CARD_FILE), MOST_CARD_BYTES).catch(() => '');
  try {
    const { license } = frontMatterOf(text);
    return typeof license === 'string' ? license : null;
  } catch {
    // What somebody else's card says is no reason not to save a model.
    return null;
  }
}

import { BertuneError } from '../errors.js';
import { isObject, parseJson } from '../files/json.js';
import { INDEX_FILE, WEIGHTS_FILE } from '../files/model-files.js';
import { expectSupported } from '../formats/checkpoint/config.js';
import { foreignWeights, noCheckpoint } from '../formats/checkpoint/foreign.js';
import { ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE, adapterPickle } from '../methods/adapter/files.js';
import { FILES, TOKENIZER_FILES } from '../tokenizer/files/source.js';
import { expectSafePath } from './id.js';
import type { Choice } from './snapshot.js';

/** Where `TextClassifier.save` puts the weights under an adapter that are its own. */
const OWN_BASE = 'base/';

/** The files that loading a model or an adapter reads, of those that its repository has. */
export const modelFiles: Choice = {
  // Python asks for the files of byte pairs only where a tokenizer is of them.
  optional: TOKENIZER_FILES.filter((name) => name !== FILES.bytePairs && name !== FILES.merges),

  async choose(paths, read, where) {
    const there = new Set(paths);
    if (there.has(ADAPTER_CONFIG_FILE)) {
      if (!there.has(ADAPTER_WEIGHTS_FILE)) {
        throw adapterPickle(where, paths) ?? missing(ADAPTER_WEIGHTS_FILE, where);
      }
      const own = there.has(`${OWN_BASE}config.json`) ? await checkpoint(OWN_BASE, there, read, where) : [];
      return [ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE, ...TOKENIZER_FILES.filter((name) => there.has(name)), ...own];
    }
    return checkpoint('', there, read, where);
  },
};

async function checkpoint(
  folder: string,
  there: ReadonlySet<string>,
  read: (path: string) => Promise<string>,
  where: string,
): Promise<string[]> {
  const config = `${folder}config.json`;
  const names = [...there].filter((path) => path.startsWith(folder)).map((path) => path.slice(folder.length));
  if (!there.has(config)) throw folder === '' ? noCheckpoint(where, names) : missing(config, where);
  // Before the weights are fetched.
  expectSupported(jsonOf(await read(config), config, where), `${config} of ${where}`);
  const tokenizer = TOKENIZER_FILES.map((name) => folder + name).filter((path) => there.has(path));
  if (tokenizer.every((path) => !/(tokenizer\.json|vocab\.txt|vocab\.json)$/.test(path))) {
    throw missing(`${folder}tokenizer.json or ${folder}vocab.txt`, where);
  }
  if (there.has(folder + WEIGHTS_FILE)) return [config, ...tokenizer, folder + WEIGHTS_FILE];
  if (!there.has(folder + INDEX_FILE)) {
    throw foreignWeights(where, names) ?? missing(WEIGHTS_FILE, where);
  }
  const shards = shardsOf(await read(folder + INDEX_FILE), where).map((name) => folder + name);
  const lost = shards.find((path) => !there.has(path));
  if (lost !== undefined) throw missing(lost, where);
  return [config, ...tokenizer, folder + INDEX_FILE, ...shards];
}

/** Names of the files that an index spreads the tensors over. */
function shardsOf(text: string, where: string): string[] {
  const map = jsonOf(text, INDEX_FILE, where).weight_map;
  if (!isObject(map)) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected an object weight_map in ${INDEX_FILE} of ${where}`);
  }
  return [...new Set(Object.values(map))].map((name) => expectSafePath(String(name), where));
}

function jsonOf(text: string, name: string, where: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected JSON in ${name} of ${where}`, { cause });
  }
  if (!isObject(value)) throw new BertuneError('CHECKPOINT_INVALID', `Expected a JSON object in ${name} of ${where}`);
  return value;
}

function missing(path: string, where: string): BertuneError {
  return new BertuneError('NOT_FOUND', `Expected ${path} in ${where} but there is none`);
}

import { join } from 'node:path';
import type { ModelConfig } from '../../architectures/index.js';
import { BertuneError } from '../../errors.js';
import { readdir } from '../../files/fs.js';
import { isFile, readJsonObject } from '../../files/input.js';
import { dataFile, formatJson, type OutputFile, writeFilesAtomic } from '../../files/output.js';
import { tokenizerFiles } from '../../formats/checkpoint/tokenizer-files.js';
import { readSafetensors, type Safetensors, safetensorsFile } from '../../formats/safetensors.js';
import { expectOneOf, expectString } from '../../options/validation.js';
import type { AdapterFormat } from '../method.js';
import { ADAPTER_FORMATS, type Method } from '../registry.js';
import { AdapterSettings } from './settings.js';
import type { Adapter } from './types.js';

export type { Adapter, LoraAdapter, PrefixAdapter } from './types.js';

export const ADAPTER_CONFIG_FILE = 'adapter_config.json';
export const ADAPTER_WEIGHTS_FILE = 'adapter_model.safetensors';

/** Whether the directory holds an adapter_config.json. */
export async function isAdapter(directory: string): Promise<boolean> {
  return isFile(join(expectString('directory', directory), ADAPTER_CONFIG_FILE));
}

/** The error for a directory that is given as an adapter and is none. */
export async function noAdapter(directory: string): Promise<BertuneError> {
  const isModel = await isFile(join(directory, 'config.json'));
  const what = isModel ? 'it is a checkpoint: give it as the model, not as an adapter' : 'there is none';
  return new BertuneError('NOT_FOUND', `Expected an adapter with ${ADAPTER_CONFIG_FILE} in ${directory} but ${what}`);
}

/**
 * Reads an adapter that PEFT or this library saved. Settings that change the arithmetic (PiSSA, ...) are
 * refused by name; settings unknown here are passed over where they are null, false or empty.
 *
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID, SHAPE_MISMATCH
 */
export async function readAdapter(directory: string): Promise<Adapter> {
  if (!(await isAdapter(directory))) throw await noAdapter(directory);
  const configPath = join(directory, ADAPTER_CONFIG_FILE);
  const settings = new AdapterSettings(await readJsonObject(configPath), configPath);
  const type = settings.value('peft_type');
  const format = ADAPTER_FORMATS.find(({ peftType }) => peftType === type);
  if (format === undefined) {
    throw settings.invalid('peft_type', ADAPTER_FORMATS.map(({ peftType }) => `"${peftType}"`).join(' or '));
  }
  const path = join(directory, ADAPTER_WEIGHTS_FILE);
  const file = await readWeights(directory, path);
  return format.read(settings, file, path);
}

/**
 * Checks that an adapter belongs on a base model of these dimensions.
 *
 * @returns the adapter, its tensors under the names that the model has for them
 * @throws BertuneError SHAPE_MISMATCH, CHECKPOINT_INVALID naming the tensor or module
 */
export function fitAdapter(adapter: Adapter, config: ModelConfig): Adapter {
  return formatOf(adapter).fit(adapter, config);
}

/** How an adapter is stored and what it comes to. */
export function formatOf({ kind }: Pick<Adapter, 'kind'>): AdapterFormat<Adapter, Method> {
  return ADAPTER_FORMATS.find((format) => format.kind === kind)!;
}

/**
 * Writes adapter_config.json and adapter_model.safetensors so that every PEFT version can read them, both or none.
 * Creates the directory where needed.
 *
 * @param options.tokenizerFrom directory whose tokenizer files are copied beside. Defaults to none.
 * @param options.beside files that are written with it, all or none, before its own. Defaults to none.
 * @param options.remove names of files that go with it. Defaults to none.
 * @throws BertuneError OUTPUT_REFUSED, SHAPE_MISMATCH, CHECKPOINT_INVALID, INVALID_OPTION, NOT_FOUND (the tokenizer)
 */
export async function writeAdapter(
  directory: string,
  adapter: Adapter,
  options: { tokenizerFrom?: string; beside?: readonly OutputFile[]; remove?: readonly string[] } = {},
): Promise<void> {
  expectString('directory', directory);
  const kinds = ADAPTER_FORMATS.map((format) => format.kind);
  const { floats, format } = formatOf({ kind: expectOneOf('kind', adapter.kind, kinds) });
  const { settings, file } = format(adapter);
  const tokenizer = options.tokenizerFrom === undefined ? undefined : await tokenizerFiles(options.tokenizerFrom);
  const files = [
    ...(options.beside ?? []),
    ...(tokenizer?.files ?? []),
    safetensorsFile(ADAPTER_WEIGHTS_FILE, file.tensors, file.metadata),
    dataFile(ADAPTER_CONFIG_FILE, formatJson(settings, { sortKeys: true, floats: [...floats] })),
  ];
  await writeFilesAtomic(directory, files, { remove: [...(options.remove ?? []), ...(tokenizer?.remove ?? [])] });
}

async function readWeights(directory: string, path: string): Promise<Safetensors> {
  if (!(await isFile(path))) {
    const pickle = adapterPickle(directory, await readdir(directory).catch(() => []));
    if (pickle) throw pickle;
  }
  return readSafetensors(path);
}

/**
 * The error for an adapter whose weights are a pickle.
 *
 * @param where the directory or repository, for messages
 * @param names the files in it
 * @returns undefined where there is none
 */
export function adapterPickle(where: string, names: readonly string[]): BertuneError | undefined {
  const pickles = names.filter((name) => /^adapter_model\.(bin|pt|pth)$/.test(name));
  if (pickles.length === 0) return undefined;
  return new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected ${ADAPTER_WEIGHTS_FILE} in ${where} but found ${pickles.join(', ')}, a pickle, which is never read here. ` +
      'Convert it to safetensors first, where you trust its source, in Python with PEFT: load it with ' +
      "PeftModel.from_pretrained and save it with save_pretrained('NEW_DIRECTORY')",
  );
}

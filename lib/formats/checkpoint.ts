import { join } from 'node:path';
import type { ModelConfig } from '../architectures/index.js';
import { byName, encoderRows, type HeadKind, headRows, type ParameterRow } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { isDirectory, isFile } from '../files/input.js';
import { INDEX_FILE, WEIGHTS_FILE } from '../files/model-files.js';
import { dataFile, formatJson, type OutputFile, writeFilesAtomic } from '../files/output.js';
import { namesIn } from '../files/paths.js';
import { expectNames, expectOneOf, expectString } from '../options/validation.js';
import { configToJson, FLOAT_KEYS, readConfig } from './checkpoint/config.js';
import { noCheckpoint } from './checkpoint/foreign.js';
import { readHead } from './checkpoint/head.js';
import { tokenizerFiles } from './checkpoint/tokenizer-files.js';
import { canonicalName, checkParameter, readWeights } from './checkpoint/weights.js';
import { safetensorsFile } from './safetensors.js';
import type { Tensor } from './tensor.js';

/** A checkpoint in memory, every tensor checked against the shape that config.json implies. */
export interface Checkpoint {
  directory: string;
  /** `labels` are the classifier's, generic where the file has one and names none; null where it has neither. */
  config: ModelConfig;
  /** Canonical names; dtypes F64, F32, F16 or BF16 as in the file. */
  tensors: Map<string, Tensor>;
  /** Canonical names of the pooler's and the classifier's tensors that are to be initialized anew. */
  missing: string[];
  /** Names in the file that are not part of the model. */
  ignored: string[];
  /** null: the head is to be initialized anew. */
  head: HeadKind | null;
}

/** What writeCheckpoint saves. */
export interface CheckpointContent {
  config: ModelConfig;
  /** Names of the classes in order. */
  labels: readonly string[];
  /** Exactly the tensors of `modelRows(config, head, labels.length)`. */
  tensors: ReadonlyMap<string, Tensor>;
  head: HeadKind;
  /** Directory whose tokenizer files are copied. */
  tokenizerFrom: string;
}

/** torch's words for element types, as config.json has them. */
const TORCH_DTYPES = new Map([
  ['F64', 'float64'],
  ['F32', 'float32'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
]);

/** All parameters of a full checkpoint. */
export function modelRows(config: ModelConfig, head: HeadKind, labels: number): Map<string, ParameterRow> {
  return byName([...encoderRows(config), ...headRows(config, head, labels)]);
}

/** Files of another kind of model that would be read in place of a checkpoint written over them. */
const STALE_FILES = [INDEX_FILE, 'adapter_config.json', 'adapter_model.safetensors'];

/** Whether the directory holds a config.json. */
export async function isCheckpoint(directory: string): Promise<boolean> {
  return isFile(join(expectString('directory', directory), 'config.json'));
}

/**
 * Reads a checkpoint: config.json and model.safetensors, or the shards of model.safetensors.index.json. Accepts
 * what transformers accepts: names without `bert.` or the like, LayerNorm.gamma and beta, tensors of other heads (ignored), no
 * pooler, no classifier.
 *
 * @param options.head 'skip' passes over the classifier, as if there were none. Defaults to 'read'.
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID, SHAPE_MISMATCH, INVALID_OPTION
 */
export async function readCheckpoint(directory: string, options: { head?: 'read' | 'skip' } = {}): Promise<Checkpoint> {
  if (!(await isDirectory(expectString('directory', directory)))) {
    const what = (await isFile(directory)) ? 'found a file; name the directory that it is in' : 'there is none';
    throw new BertuneError('NOT_FOUND', `Expected a checkpoint directory at ${directory} but ${what}`);
  }
  if (!(await isCheckpoint(directory))) throw noCheckpoint(directory, await namesIn(directory));
  const config = await readConfig(directory);
  const { found, names } = canonicalise(await readWeights(directory), config, directory);

  const { tensors, missing } = takeEncoder(config, found, directory);
  const head = options.head === 'skip' ? null : readHead(config, found, directory);
  for (const [name, tensor] of head?.tensors ?? []) tensors.set(name, tensor);
  if (!head) missing.push(...headRowNames(config, 'classifier'));

  // A head that the caller passes over is nothing to tell him of.
  const skipped = options.head === 'skip' ? (['classifier', 'probe'] as const) : [];
  const known = new Set([...tensors.keys(), ...skipped.flatMap((kind) => headRowNames(config, kind))]);
  const ignored = [...names].filter(([name]) => !known.has(name)).map(([, inFile]) => inFile);
  const labels = head ? [...head.labels] : config.labels;
  return { directory, config: { ...config, labels }, tensors, missing, ignored, head: head?.kind ?? null };
}

/**
 * Writes config.json, model.safetensors and the tokenizer's files, all or none. Creates the directory where needed. An
 * adapter or a sharded checkpoint that was there is removed, since it would be read in place of this one.
 *
 * @throws BertuneError OUTPUT_REFUSED, SHAPE_MISMATCH, CHECKPOINT_INVALID, INVALID_OPTION, NOT_FOUND (the tokenizer)
 */
export async function writeCheckpoint(directory: string, content: CheckpointContent): Promise<void> {
  expectString('directory', directory);
  const { files, remove } = await checkpointFiles(content);
  await writeFilesAtomic(directory, files, { remove });
}

/** What writeCheckpoint writes, for writeFilesAtomic, and what it removes. Errors as writeCheckpoint. */
export async function checkpointFiles(content: CheckpointContent): Promise<{ files: OutputFile[]; remove: string[] }> {
  const labels = expectNames('labels', content.labels);
  const head = expectOneOf('head', content.head, ['classifier', 'probe']);
  checkComplete(content.tensors, modelRows(content.config, head, labels.length));

  const dtypes = new Set([...content.tensors.values()].map(({ dtype }) => dtype));
  const dtype = dtypes.size === 1 ? TORCH_DTYPES.get([...dtypes][0]!)! : 'float32';
  const config = configToJson(content.config, labels, head, dtype);
  const tokenizer = await tokenizerFiles(content.tokenizerFrom);
  const files = [
    ...tokenizer.files,
    safetensorsFile(WEIGHTS_FILE, content.tensors),
    dataFile('config.json', formatJson(config, { sortKeys: true, floats: FLOAT_KEYS })),
  ];
  return { files, remove: [...STALE_FILES, ...tokenizer.remove] };
}

function headRowNames(config: ModelConfig, head: HeadKind): string[] {
  return headRows(config, head, 1).map(({ name }) => name);
}

/** Tensors under canonical names, and beside it their names in the file. */
function canonicalise(
  inFile: ReadonlyMap<string, Tensor>,
  config: ModelConfig,
  where: string,
): { found: Map<string, Tensor>; names: Map<string, string> } {
  const found = new Map<string, Tensor>();
  const names = new Map<string, string>();
  for (const [name, tensor] of inFile) {
    const canonical = canonicalName(name, config);
    if (found.has(canonical)) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected one tensor ${canonical} in ${where} but found it as ${names.get(canonical)} and as ${name}`,
      );
    }
    found.set(canonical, tensor);
    names.set(canonical, name);
  }
  return { found, names };
}

/** The encoder's tensors, all of them, and the pooler's where there is one. */
function takeEncoder(
  config: ModelConfig,
  found: ReadonlyMap<string, Tensor>,
  where: string,
): { tensors: Map<string, Tensor>; missing: string[] } {
  const tensors = new Map<string, Tensor>();
  const missing: ParameterRow[] = [];
  for (const row of encoderRows(config)) {
    const tensor = found.get(row.name);
    if (tensor) {
      checkParameter(row.name, tensor, row.shape, where);
      tensors.set(row.name, tensor);
    } else {
      missing.push(row);
    }
  }
  const pooler = missing.filter(({ role }) => role === 'head_dense');
  const needed = pooler.length === 2 ? missing.filter((row) => !pooler.includes(row)) : missing;
  if (needed.length > 0) {
    const [{ name, shape }] = needed as [ParameterRow];
    const more = needed.length > 1 ? ` (and ${needed.length - 1} more)` : '';
    const inHead = new Set([...headRowNames(config, 'classifier'), ...headRowNames(config, 'probe')]);
    const other = [...found.keys()].find((key) => !tensors.has(key) && !inHead.has(key));
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected tensor ${name} of shape [${shape.join(', ')}]${more} in ${where} but there ` +
        `is none among its ${found.size} tensors${other === undefined ? '' : `, which include ${other}`}`,
    );
  }
  return { tensors, missing: missing.map(({ name }) => name) };
}

function checkComplete(tensors: ReadonlyMap<string, Tensor>, expected: ReadonlyMap<string, ParameterRow>): void {
  for (const [name, { shape }] of expected) {
    const tensor = tensors.get(name);
    if (!tensor) {
      throw new BertuneError(
        'INVALID_OPTION',
        `Expected tensor ${name} of shape [${shape.join(', ')}] but received none`,
      );
    }
    checkParameter(name, tensor, shape, 'what is to be written');
  }
  for (const name of tensors.keys()) {
    if (!expected.has(name)) {
      throw new BertuneError('INVALID_OPTION', `Expected only the model's tensors but received ${name}`);
    }
  }
}

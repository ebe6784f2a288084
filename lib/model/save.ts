import { basename, join } from 'node:path';
import type { ModelConfig } from '../architectures/index.js';
import { type ParameterRow, PROMPT_EMBEDDINGS } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { stat } from '../files/fs.js';
import { isFile } from '../files/input.js';
import { withDirectoryLock } from '../files/lock.js';
import { INDEX_FILE, MODEL_FILES, OWN_BASE, WEIGHTS_FILE } from '../files/model-files.js';
import { type OutputFile, removeLeftovers, withOutputDirectory, writeFilesAtomic } from '../files/output.js';
import { arrangeHead, outputName } from '../formats/checkpoint/head.js';
import { checkpointFiles, modelRows } from '../formats/checkpoint.js';
import type { OnnxClassifier, OnnxWeights } from '../formats/onnx/classifier.js';
import { onnxFiles } from '../formats/onnx/folder.js';
import { fromFloat32, type Tensor } from '../formats/tensor.js';
import { ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE, type Adapter, writeAdapter } from '../methods/adapter/files.js';
import { definitionOf, type Method, type MethodPlan } from '../methods/index.js';
import type { NativeSession } from '../native/index.js';
import { option } from '../options/names.js';
import { expectTable, flag, type OptionsOf, oneOf } from '../options/table.js';
import { expectBoolean, expectObject, expectPath } from '../options/validation.js';
import { DEFAULT_TASK, taskOf } from '../tasks/index.js';
import { haveSameNames } from '../tasks/labels.js';
import { TimeSlice } from '../time-slice.js';
import { type BaseName, nameOfBase, nameOfOwnBase } from './base.js';
import { type CardOptions, cardFiles, expectCard } from './card-file.js';
import type { AnyClassifier } from './classifier.js';
import { expectWeights, mergedWeights, type ReadParameter } from './merge.js';
import type { Values } from './session.js';
import { longestText } from './texts.js';

/** Options of `save` and `export`. */
export interface SaveOptions {
  /** Whether to write into a directory that is not empty. Defaults to false. */
  overwrite?: boolean | undefined;
  /** What the card, README.md, says beyond what the model knows about itself; false: no card. Defaults to nothing more. */
  card?: CardOptions | false | undefined;
}

/** The options of `exportOnnx`. */
export const ONNX_OPTIONS = {
  /**
   * Format of the weights: 'fp32' (onnx/model.onnx), 'int8' (onnx/model_quantized.onnx, a quarter of the size, the default of
   * transformers.js in browsers), or 'both'. Defaults to 'both'.
   */
  weights: oneOf(['both', 'fp32', 'int8'], { words: 'weights of the ONNX graphs', default: 'both' }),
  /** Whether to write into a directory that is not empty. Defaults to false. */
  overwrite: flag({ words: 'write into a directory that is not empty', default: false }),
};

/** Options of `exportOnnx`. */
export interface OnnxOptions extends OptionsOf<typeof ONNX_OPTIONS> {}

/** A model as it is saved: its parameters by name, an adapter apart from the weights under it. */
interface Source {
  native: NativeSession;
  plan: MethodPlan;
  read: ReadParameter;
}

/** Writes a model to a directory. Parameters and errors as TextClassifier.save. */
export function saveModel(model: AnyClassifier, directory: string, options: SaveOptions): Promise<void> {
  return write(model, directory, options, async (source, card) => {
    const as = { files: 'as trained', head: source.plan.head } as const;
    const beside = card ? await cardFiles(model, directory, as, card) : [];
    await saveAsTrained(model, source, directory, directory, beside);
  });
}

/**
 * Writes the files of a model into an existing directory that no one else uses yet.
 *
 * @param options.as what the directory will be called
 * @throws BertuneError OUTPUT_REFUSED, DISPOSED; NON_FINITE_LOSS where a parameter is NaN or infinite
 */
export function writeModel(model: AnyClassifier, directory: string, options: { as: string }): Promise<void> {
  return withSource(model, (source) => saveAsTrained(model, source, directory, options.as));
}

/** Writes a model as a checkpoint of its own. Parameters and errors as TextClassifier.export. */
export async function exportModel(model: AnyClassifier, directory: string, options: SaveOptions): Promise<void> {
  if (model.session.plan.prefix) {
    throw new BertuneError(
      'INVALID_OPTION',
      'A prefix adapter cannot be exported: it is no part of a plain checkpoint. Save it as the adapter it is',
    );
  }
  await write(model, directory, options, async (source, card) => {
    const as = { files: 'alone', head: source.plan.head } as const;
    await saveAlone(model, source, directory, card ? await cardFiles(model, directory, as, card) : []);
  });
}

/** Writes a model as a folder for ONNX Runtime. Parameters and errors as TextClassifier.exportOnnx. */
export async function exportOnnx(model: AnyClassifier, directory: string, options: OnnxOptions): Promise<void> {
  const { weights, overwrite } = expectTable('options', options, ONNX_OPTIONS);
  await write(model, directory, { overwrite }, async (source) => {
    await expectNoModel(directory);
    const { files, remove } = await onnxFiles({
      // What reads a graph takes its softmax or sigmoid, and knows no temperature: the logits have it in them.
      config: { ...configOf(model), temperature: null },
      labels: model.labels,
      head: source.plan.head,
      ...calibratedHead(model, await weightsAlone(model, source)),
      prefix: await prefixOf(source),
      tokenizerFrom: model.base.directory,
      maxLength: longestText(model, source.plan),
      weights: weights === 'both' ? (['fp32', 'int8'] satisfies OnnxWeights[]) : [weights],
    });
    await writeFilesAtomic(directory, files, { remove });
  });
}

/** A folder for ONNX Runtime has a config.json and a tokenizer of its own, which are not those of another model beside it. */
async function expectNoModel(directory: string): Promise<void> {
  for (const name of [WEIGHTS_FILE, INDEX_FILE, ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE]) {
    if (!(await isFile(join(directory, name)))) continue;
    throw new BertuneError(
      'OUTPUT_REFUSED',
      `Expected a directory without a model but found ${name} in ${directory}; choose another for ONNX`,
    );
  }
}

async function write(
  model: AnyClassifier,
  directory: string,
  options: SaveOptions,
  save: (source: Source, card: CardOptions | false) => Promise<void>,
): Promise<void> {
  expectPath('directory', directory);
  const given = expectObject('options', options, ['overwrite', 'card']);
  const card = expectCard(given.card);
  const overwrite = expectBoolean('overwrite', given.overwrite ?? false);
  expectWeights(model);
  await withSource(model, (source) =>
    withOutputDirectory(directory, { overwrite }, async () => {
      const work = async () => {
        await removeLeftovers(directory);
        await save(source, card);
      };
      // Into the directory of the run that trains it, in turn with what the run saves; anyone else's is refused.
      const { outputLock } = model;
      await (outputLock?.covers(directory) ? outputLock.inTurn(work) : withDirectoryLock(directory, work));
    }),
  );
}

/** One use of the session from start to end: a model that is disposed or merged meanwhile is still saved whole. */
function withSource(model: AnyClassifier, save: (source: Source) => Promise<void>): Promise<void> {
  const { session, unmerged } = model;
  return session.use((native) => {
    const read = async (name: string) => unmerged?.values.get(name) ?? native.read(name, 'value');
    return save({ native, plan: unmerged?.plan ?? session.plan, read });
  });
}

/**
 * As an adapter where it was trained as one, and as a checkpoint otherwise.
 *
 * @param beside files that are written with it, all or none
 */
function saveAsTrained(
  model: AnyClassifier,
  source: Source,
  directory: string,
  as: string,
  beside: readonly OutputFile[] = [],
): Promise<void> {
  const { method } = model;
  const isAdapter = method !== null && definitionOf(method.kind).adapter !== null;
  if (isAdapter) return saveAdapter(model, source, method, directory, as, beside);
  return saveAlone(model, source, directory, beside);
}

/** A checkpoint, and no adapter beside it. */
async function saveAlone(
  model: AnyClassifier,
  source: Source,
  directory: string,
  beside: readonly OutputFile[],
): Promise<void> {
  const { files, remove } = await filesAlone(model, source);
  await writeFilesAtomic(directory, [...beside, ...files], { remove });
}

async function saveAdapter(
  model: AnyClassifier,
  source: Source,
  method: Method,
  directory: string,
  as: string,
  beside: readonly OutputFile[],
): Promise<void> {
  const { intact, directory: tokenizerFrom } = model.base;
  const ownBase = intact ? null : await filesAlone(model, { ...source, plan: { ...source.plan, lora: null } });
  const base = intact ? await nameOfBase(model.base, as) : nameOfOwnBase();
  const adapter = await adapterOf(model, source, method, base);
  const arranged = intact ? inOrderOf(model.base.labels, adapter, model.config) : adapter;
  await writeAdapter(directory, arranged, {
    tokenizerFrom,
    beside: [...beside, ...(ownBase?.files ?? []).map((file) => ({ ...file, name: `${OWN_BASE}/${file.name}` }))],
    remove: (ownBase?.remove ?? (await strayBase(directory, model.base))).map((file) => `${OWN_BASE}/${file}`),
  });
}

/**
 * An adapter whose rows are in the order of its base's, where the classes are the same: PEFT passes over the adapter's names
 * and takes the base's, in the order of its file.
 */
function inOrderOf(base: readonly string[] | null, adapter: Adapter, config: ModelConfig): Adapter {
  const { labels, tensors } = adapter;
  if (!base || !labels || !haveSameNames(base, labels)) return adapter;
  const output = outputName(config, 'classifier');
  const head = arrangeHead({ kind: 'classifier', labels, named: true, output, tensors }, base);
  return { ...adapter, labels: head.labels, tensors: new Map(head.tensors) };
}

/** The files of a checkpoint: the weights with the updates of the plan's LoRA, if it has one, added. */
async function filesAlone(model: AnyClassifier, source: Source) {
  const { rows, values } = await weightsAlone(model, source);
  return checkpointFiles({
    config: configOf(model),
    labels: model.labels,
    tensors: new Map(rows.map(({ name, shape }) => [name, fromFloat32(values.get(name)!, shape)])),
    head: source.plan.head,
    tokenizerFrom: model.base.directory,
  });
}

/** What config.json says of a model. */
function configOf({ config, labels, pairs, task, thresholds, temperature, longTexts }: AnyClassifier): ModelConfig {
  // transformers refuses this one for one class, whose score is a sigmoid.
  const problemType = labels.length === 1 && taskOf(task).labels === 'class' ? null : taskOf(task).problemType;
  return { ...config, pairs, problemType, thresholds, temperature, longTexts };
}

/** The encoder's and the head's parameters, with the updates of the plan's LoRA, if it has one, added. */
async function weightsAlone({ config, labels }: AnyClassifier, { plan, read }: Source) {
  const rows = [...modelRows(config, plan.head, labels.length).values()];
  const values = new Map<string, Float32Array>();
  for (const { name } of rows) values.set(name, await floatsOf(name, await read(name)));
  for await (const [name, merged] of mergedWeights(plan, read)) values.set(name, await floatsOf(name, merged));
  return { rows, values };
}

/** The weights of `weightsAlone`, the classifier's divided by the temperature, so that its logits are. */
function calibratedHead({ temperature }: AnyClassifier, { rows, values }: Awaited<ReturnType<typeof weightsAlone>>) {
  if (temperature === null) return { rows, values };
  const scaled = rows
    .filter(({ role }) => role === 'classifier')
    .map(({ name }) => [name, values.get(name)!.map((value) => value / temperature)] as const);
  return { rows, values: new Map([...values, ...scaled]) };
}

/** Keys and values of a plan's virtual tokens (P, 2LC); null where it has none. */
async function prefixOf({ native, plan: { prefix } }: Source): Promise<OnnxClassifier['prefix']> {
  if (prefix === null) return null;
  const values = await floatsOf(PROMPT_EMBEDDINGS, await native.promptEmbeddings());
  return { virtualTokens: prefix.virtualTokens, values };
}

/** Files in a `base/` of an earlier save that would be read in place of a base that has the same name elsewhere. */
async function strayBase(directory: string, { directory: under }: AnyClassifier['base']): Promise<readonly string[]> {
  if (basename(under) !== OWN_BASE) return [];
  const [there, base] = await Promise.all(
    [join(directory, OWN_BASE), under].map((path) => stat(path, { bigint: true }).catch(() => undefined)),
  );
  const isBase = there !== undefined && there.ino === base?.ino && there.dev === base.dev;
  return isBase ? [] : MODEL_FILES;
}

function adapterOf(
  { config, labels, pairs, task, thresholds, temperature, longTexts }: AnyClassifier,
  { native, plan, read }: Source,
  method: Method,
  base: BaseName,
): Promise<Adapter> {
  // What the base says of its task is that of an adapter without a word on it.
  const isSaid = task !== DEFAULT_TASK || config.problemType !== null;
  return definitionOf(method.kind).adapter!.ofModel(method, {
    config,
    plan,
    common: { ...base, labels, pairs, task: isSaid ? task : null, thresholds, temperature, longTexts },
    read: (rows) => readTensors(read, rows),
    readPrompt: async (shape) => tensorOf(PROMPT_EMBEDDINGS, await native.promptEmbeddings(), shape),
  });
}

async function readTensors(read: ReadParameter, rows: readonly ParameterRow[]): Promise<Map<string, Tensor>> {
  const tensors = new Map<string, Tensor>();
  for (const { name, shape } of rows) tensors.set(name, await tensorOf(name, await read(name), shape));
  return tensors;
}

async function tensorOf(name: string, values: Values, shape: readonly number[]): Promise<Tensor> {
  return fromFloat32(await floatsOf(name, values), shape);
}

/** Files are F32 whatever the session computes in. @throws BertuneError NON_FINITE_LOSS */
async function floatsOf(name: string, values: Values): Promise<Float32Array> {
  const floats = values instanceof Float32Array ? values : Float32Array.from(values);
  await expectFinite(name, floats);
  return floats;
}

/** Values between looks at the clock: about a millisecond's work. */
const BLOCK = 2 ** 19;

/** Index of the first value that is NaN or infinite; -1 where all are finite. The event loop runs meanwhile. */
export async function firstNonFinite(values: Values): Promise<number> {
  const slice = new TimeSlice();
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(values.length, start + BLOCK);
    for (let i = start; i < end; i++) if (!Number.isFinite(values[i])) return i;
    if (slice.isOver) await slice.next();
  }
  return -1;
}

/**
 * Checks what training left, before it is saved.
 *
 * @throws BertuneError NON_FINITE_LOSS
 */
export async function expectFinite(name: string, values: Values): Promise<void> {
  const odd = await firstNonFinite(values);
  if (odd < 0) return;
  throw new BertuneError(
    'NON_FINITE_LOSS',
    `Element ${odd} of ${name} is ${values[odd]}: training diverged in its last steps, so the model is not saved. ` +
      `Train again with a lower ${option('learningRate')}, from the start or from an earlier checkpoint`,
  );
}

import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Adapter, writeAdapter } from '../adapter.js';
import { encoderTensors, headTensors, writeCheckpoint } from '../checkpoint.js';
import { prepareOutputDirectory } from '../files/output.js';
import type { LoraMethod, MethodPlan, PrefixMethod } from '../methods.js';
import type { NativeSession } from '../native.js';
import { expectBoolean, expectObject, expectString } from '../options.js';
import { fromFloat32, type Tensor } from '../safetensors.js';
import { OWN_BASE } from './load.js';
import type { Model } from './model.js';
import type { Values } from './session.js';

/** What would make a directory look like an adapter's although it holds a checkpoint. */
const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors'];

/** Writes a model to a directory. Parameters and errors as TextClassifier.save. */
export async function saveModel(model: Model, directory: string, options: { overwrite?: boolean }): Promise<void> {
  expectString('directory', directory);
  expectObject('options', options, ['overwrite']);
  const overwrite = expectBoolean('overwrite', options.overwrite ?? false);
  const { session } = model;
  // One use from start to end: a model that is disposed meanwhile is still saved whole.
  await session.use(async (native) => {
    await prepareOutputDirectory(directory, { overwrite });
    await write(model, native, session.plan, directory);
  });
}

async function write(model: Model, native: NativeSession, plan: MethodPlan, directory: string): Promise<void> {
  const { method } = model;
  if (method?.kind !== 'lora' && method?.kind !== 'prefix') {
    await saveCheckpoint(model, native, plan, directory);
    for (const name of ADAPTER_FILES) await rm(join(directory, name), { force: true });
    return;
  }
  const ownBase = join(directory, OWN_BASE);
  if (!model.base.intact) await saveCheckpoint(model, native, plan, ownBase);
  const { intact, name, revision } = model.base;
  const base = intact
    ? { baseModel: name, baseRevision: revision }
    : { baseModel: resolve(ownBase), baseRevision: null };
  const adapter = await adapterOf(model, native, plan, method, base);
  await writeAdapter(directory, adapter, { tokenizerFrom: model.base.tokenizerFrom });
}

async function saveCheckpoint(
  { config, labels, base }: Model,
  native: NativeSession,
  { head }: MethodPlan,
  directory: string,
): Promise<void> {
  const shapes = new Map([...encoderTensors(config), ...headTensors(config, head, labels.length)]);
  const tensors = await readTensors(native, shapes);
  await writeCheckpoint(directory, { config, labels, tensors, head, tokenizerFrom: base.tokenizerFrom });
}

async function adapterOf(
  { config, labels }: Model,
  native: NativeSession,
  plan: MethodPlan,
  method: LoraMethod | PrefixMethod,
  base: { baseModel: string; baseRevision: string | null },
): Promise<Adapter> {
  const shapes = new Map(plan.parameters.map(({ name, shape }) => [name, shape]));
  const named = (wanted: (name: string) => boolean) => new Map([...shapes].filter(([name]) => wanted(name)));
  const isHead = (name: string) => name.startsWith('classifier.');
  if (method.kind === 'lora') {
    const { rank, alpha, dropout, targets } = method;
    const tensors = await readTensors(
      native,
      named((name) => isHead(name) || /\.lora_[AB]\.weight$/.test(name)),
    );
    return { kind: 'lora', rank, alpha, dropout, targetModules: [...targets], ...base, labels, tensors };
  }
  const { virtualTokens, projection } = method;
  const { layers, heads, hiddenSize } = config;
  const prompt = await native.promptEmbeddings();
  return {
    kind: 'prefix',
    virtualTokens,
    projection,
    layers,
    heads,
    hiddenSize,
    ...base,
    labels,
    promptEmbeddings: tensorOf(prompt, [virtualTokens, 2 * layers * hiddenSize]),
    tensors: await readTensors(native, named(isHead)),
  };
}

async function readTensors(native: NativeSession, shapes: ReadonlyMap<string, number[]>): Promise<Map<string, Tensor>> {
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of shapes) tensors.set(name, tensorOf(await native.read(name, 'value'), shape));
  return tensors;
}

/** Files are F32 whatever the session computes in. */
function tensorOf(values: Values, shape: readonly number[]): Tensor {
  return fromFloat32(values instanceof Float32Array ? values : Float32Array.from(values), [...shape]);
}

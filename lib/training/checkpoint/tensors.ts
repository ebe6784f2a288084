import { join } from 'node:path';
import { PROMPT_EMBEDDINGS } from '../../architectures/rows.js';
import { BertuneError } from '../../errors.js';
import { isFile } from '../../files/input.js';
import { writeFilesAtomic } from '../../files/output.js';
import { arrangeHead } from '../../formats/checkpoint/head.js';
import { readCheckpoint } from '../../formats/checkpoint.js';
import { readSafetensors, safetensorsFile } from '../../formats/safetensors.js';
import { dtypeSize, type LazyTensor, type Tensor } from '../../formats/tensor.js';
import { formatOf, isAdapter, readAdapter } from '../../methods/adapter/files.js';
import { adapterHead } from '../../methods/adapter/head.js';
import type { MethodPlan } from '../../methods/index.js';
import { expectFinite, firstNonFinite } from '../../model/save.js';
import type { Values } from '../../model/session.js';
import type { NativeDtype, NativePrecision, NativeSession } from '../../native/index.js';
import { haveSameNames, listLabels } from '../../tasks/labels.js';

/*
 * The numbers of a checkpoint: the parameters that train are in the model's or adapter's own files, which other tools
 * read; what those files do not hold exactly, and AdamW's moments, are in optimizer.safetensors.
 */

export const OPTIMIZER_FILE = 'optimizer.safetensors';
export const BEST_FILE = 'best_model.safetensors';

/** AdamW's moments, as torch calls them. */
const MOMENTS = { m: 'exp_avg', v: 'exp_avg_sq' } as const;

/** The shape of every parameter that trains. */
type Shapes = ReadonlyMap<string, readonly number[]>;

function trainableShapes({ parameters }: MethodPlan): Shapes {
  return new Map(parameters.filter(({ trainable }) => trainable).map(({ name, shape }) => [name, shape]));
}

/** Whether the model's or adapter's own files hold a parameter to the last bit. */
export function isInModel(name: string, plan: MethodPlan, precision: NativePrecision): boolean {
  // Files are F32. An adapter holds what the projection network made, not the network.
  return precision !== 'fp64' && !(plan.prefix?.projection && name.startsWith('prompt_encoder.'));
}

/**
 * Writes optimizer.safetensors: the moments, and the parameters that are nowhere else.
 *
 * @throws BertuneError OUTPUT_REFUSED; NON_FINITE_LOSS where one of them is NaN or infinite
 */
export async function writeOptimizer(
  directory: string,
  native: NativeSession,
  plan: MethodPlan,
  precision: NativePrecision,
): Promise<void> {
  const tensors = new Map<string, LazyTensor>();
  const add = (name: string, parameter: string, part: 'value' | 'm' | 'v', shape: readonly number[]) =>
    tensors.set(name, lazily(name, native, parameter, part, shape, dtypeOf(precision)));
  for (const [name, shape] of trainableShapes(plan)) {
    add(`${MOMENTS.m}.${name}`, name, 'm', shape);
    add(`${MOMENTS.v}.${name}`, name, 'v', shape);
    if (!isInModel(name, plan, precision)) add(`parameter.${name}`, name, 'value', shape);
  }
  await writeFilesAtomic(directory, [safetensorsFile(OPTIMIZER_FILE, tensors)]);
}

/** Writes best_model.safetensors. @throws BertuneError OUTPUT_REFUSED */
export async function writeBest(
  directory: string,
  values: ReadonlyMap<string, Values>,
  plan: MethodPlan,
): Promise<void> {
  const shapes = trainableShapes(plan);
  const tensors = new Map([...values].map(([name, array]) => [name, tensorOf(array, shapes.get(name)!)]));
  await writeFilesAtomic(directory, [safetensorsFile(BEST_FILE, tensors)]);
}

/**
 * Parameters and moments of a checkpoint.
 *
 * @param labels the model's, in the order of its rows; an adapter's file has them in the order of its base
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID, SHAPE_MISMATCH
 */
export async function readTrained(
  directory: string,
  plan: MethodPlan,
  precision: NativePrecision,
  labels: readonly string[],
): Promise<Record<'value' | 'm' | 'v', Map<string, Tensor>>> {
  const path = join(directory, OPTIMIZER_FILE);
  const { tensors } = await readSafetensors(path);
  const model = await modelTensors(directory, labels);
  const dtype = dtypeOf(precision);
  const trained = { value: new Map<string, Tensor>(), m: new Map<string, Tensor>(), v: new Map<string, Tensor>() };
  for (const [name, shape] of trainableShapes(plan)) {
    for (const part of ['m', 'v'] as const) {
      trained[part].set(name, await expectTensor(tensors, `${MOMENTS[part]}.${name}`, shape, dtype, path));
    }
    const value = isInModel(name, plan, precision)
      ? await expectTensor(model, name, shape, dtype, directory)
      : await expectTensor(tensors, `parameter.${name}`, shape, dtype, path);
    trained.value.set(name, value);
  }
  return trained;
}

/** Parameters of the best epoch; null where the checkpoint holds none beside its own. Errors as readTrained. */
export async function readBest(
  directory: string,
  plan: MethodPlan,
  precision: NativePrecision,
): Promise<Map<string, Values> | null> {
  const path = join(directory, BEST_FILE);
  if (!(await isFile(path))) return null;
  const { tensors } = await readSafetensors(path);
  const dtype = dtypeOf(precision);
  const values = new Map<string, Values>();
  for (const [name, shape] of trainableShapes(plan)) {
    values.set(name, valuesOf(await expectTensor(tensors, name, shape, dtype, path)));
  }
  return values;
}

async function modelTensors(directory: string, labels: readonly string[]): Promise<ReadonlyMap<string, Tensor>> {
  if (!(await isAdapter(directory))) return (await readCheckpoint(directory)).tensors;
  const adapter = await readAdapter(directory);
  const own = adapterHead(adapter, labels);
  if (!own || !haveSameNames(own.labels, labels)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected a classifier of ${listLabels(labels)} in ${directory} but found ${own ? listLabels(own.labels) : 'none'}`,
    );
  }
  const { tensors } = arrangeHead(own, labels);
  const prompt = formatOf(adapter).tensorOf(adapter, { name: PROMPT_EMBEDDINGS, role: 'prompt' });
  return prompt === undefined ? tensors : new Map([...tensors, [PROMPT_EMBEDDINGS, prompt]]);
}

async function expectTensor(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  shape: readonly number[],
  dtype: NativeDtype,
  where: string,
): Promise<Tensor> {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new BertuneError('CHECKPOINT_INVALID', `Expected a tensor ${name} in ${where}`);
  if (tensor.shape.join() !== shape.join() || tensor.dtype !== dtype) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${name} as ${dtype} [${shape.join(', ')}] in ${where} but found ${tensor.dtype} [${tensor.shape.join(', ')}]`,
    );
  }
  const odd = await firstNonFinite(valuesOf(tensor));
  if (odd >= 0) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Element ${odd} of ${name} in ${where} is NaN or infinite: the file is damaged, or the run had diverged; resume ` +
        'from an earlier checkpoint',
    );
  }
  return tensor;
}

/** Moments are twice the parameters: they are read from the session one by one. */
function lazily(
  name: string,
  native: NativeSession,
  parameter: string,
  part: 'value' | 'm' | 'v',
  shape: readonly number[],
  dtype: 'F64' | 'F32',
): LazyTensor {
  const length = shape.reduce((product, size) => product * size, dtypeSize(dtype));
  const read = async () => {
    const values = await native.read(parameter, part);
    await expectFinite(name, values);
    return bytesOf(values);
  };
  return { dtype, shape: [...shape], data: { length, read } };
}

function bytesOf(values: Values): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Element type of what a session reads and writes, so that nothing is rounded. */
function dtypeOf(precision: NativePrecision): 'F64' | 'F32' {
  return precision === 'fp64' ? 'F64' : 'F32';
}

function tensorOf(values: Values, shape: readonly number[]): Tensor {
  const dtype = dtypeOf(values instanceof Float64Array ? 'fp64' : 'fp32');
  return { dtype, shape: [...shape], data: bytesOf(values) };
}

/** A copy in memory that is aligned to the elements. */
function valuesOf({ dtype, data }: Tensor): Values {
  const { buffer } = data.slice();
  return dtype === 'F64' ? new Float64Array(buffer) : new Float32Array(buffer);
}

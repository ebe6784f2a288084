import { join } from 'node:path';
import { architectureOf, type ModelConfig } from '../../architectures/index.js';
import { BertuneError } from '../../errors.js';
import { isFile, readJsonObject } from '../../files/input.js';
import { isObject } from '../../files/json.js';
import { INDEX_FILE, WEIGHTS_FILE } from '../../files/model-files.js';
import { namesIn } from '../../files/paths.js';
import { readSafetensors } from '../safetensors.js';
import type { Tensor } from '../tensor.js';
import { foreignWeights } from './foreign.js';

/**
 * Reads all tensors of a checkpoint directory under the names in the file: model.safetensors, otherwise the shards of
 * model.safetensors.index.json.
 *
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID
 */
export async function readWeights(directory: string): Promise<Map<string, Tensor>> {
  if (await isFile(join(directory, WEIGHTS_FILE))) {
    return (await readSafetensors(join(directory, WEIGHTS_FILE))).tensors;
  }
  if (await isFile(join(directory, INDEX_FILE))) return readShards(directory);
  const foreign = foreignWeights(directory, await namesIn(directory));
  if (foreign) throw foreign;
  throw new BertuneError('NOT_FOUND', `Expected ${WEIGHTS_FILE} or ${INDEX_FILE} in ${directory} but there is neither`);
}

async function readShards(directory: string): Promise<Map<string, Tensor>> {
  const path = join(directory, INDEX_FILE);
  const { weight_map: map } = await readJsonObject(path);
  if (!isObject(map)) throw new BertuneError('CHECKPOINT_INVALID', `Expected an object weight_map in ${path}`);
  const namesOf = new Map<string, string[]>();
  for (const [name, shard] of Object.entries(map)) {
    checkShardName(name, shard, path);
    const names = namesOf.get(shard);
    if (names === undefined) namesOf.set(shard, [name]);
    else names.push(name);
  }
  const tensors = new Map<string, Tensor>();
  for (const [shard, names] of namesOf) {
    const found = (await readSafetensors(join(directory, shard))).tensors;
    for (const name of names) {
      const tensor = found.get(name);
      if (!tensor) {
        throw new BertuneError(
          'CHECKPOINT_INVALID',
          `Expected tensor ${name} in ${join(directory, shard)} as ${path} says`,
        );
      }
      tensors.set(name, tensor);
    }
  }
  return tensors;
}

/**
 * An index comes with the checkpoint: it may not make us read files elsewhere, nor one file under many spellings of its
 * name. Hugging Face's libraries write plain names.
 */
function checkShardName(name: string, shard: unknown, path: string): asserts shard is string {
  const sound = typeof shard === 'string' && shard.endsWith('.safetensors') && !/[/\\:\0]/.test(shard);
  if (!sound) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected the name of a .safetensors file in the directory for tensor ${name} in ${path} but found ${JSON.stringify(shard)}`,
    );
  }
}

/**
 * The name of a tensor as everything here spells it: with the prefix, such as `bert.`, that a bare encoder's file leaves
 * out, and weight and bias where early conversions from TensorFlow say gamma and beta. Other names pass unchanged.
 */
export function canonicalName(name: string, config: ModelConfig): string {
  const { prefix, embeddings, layers, pooler } = architectureOf(config);
  const inEncoder = [embeddings.word, embeddings.projection, layers, pooler].map((module) => module?.split('.')[1]);
  return (inEncoder.includes(name.split('.')[0]) ? `${prefix}.${name}` : name)
    .replace(/\.LayerNorm\.gamma$/, '.LayerNorm.weight')
    .replace(/\.LayerNorm\.beta$/, '.LayerNorm.bias');
}

/** Element types that parameters may have in a file. */
const PARAMETER_DTYPES = ['F64', 'F32', 'F16', 'BF16'];

/**
 * Checks a parameter against what the model needs.
 *
 * @param name for messages
 * @param shape what is needed; null for an extent that may be anything
 * @param where the file or directory, for messages
 * @throws BertuneError SHAPE_MISMATCH, CHECKPOINT_INVALID (not floating point)
 */
export function checkParameter(name: string, tensor: Tensor, shape: readonly (number | null)[], where: string): void {
  const fits =
    tensor.shape.length === shape.length && shape.every((extent, i) => extent === null || extent === tensor.shape[i]);
  if (!fits) {
    const expected = shape.map((extent) => extent ?? '*').join(', ');
    throw new BertuneError(
      'SHAPE_MISMATCH',
      `Expected the shape [${expected}] for tensor ${name} in ${where} but found [${tensor.shape.join(', ')}]`,
    );
  }
  if (!PARAMETER_DTYPES.includes(tensor.dtype)) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `Expected ${PARAMETER_DTYPES.join(', ')} for tensor ${name} in ${where} but found ${tensor.dtype}`,
    );
  }
}

import { createHash, type Hash } from 'node:crypto';
import { join } from 'node:path';
import { SPLIT_NAMES, type Split, type TextDataset } from '../data/types.js';
import { BertuneError } from '../errors.js';
import { withFile } from '../files/input.js';
import { isModelFile } from '../files/model-files.js';
import { listFiles } from '../files/paths.js';
import { modelDirectory } from '../hub/index.js';
import { isAdapter, readAdapter } from '../methods/adapter/files.js';
import { localBase } from '../model/base.js';
import { inSlices, PIECES, type Slices } from '../time-slice.js';
import type { Experiment } from './experiment.js';

/*
 * What decides a run's result, as digests: results of runs that are the same in this need not be computed again.
 */

/** The version of the arithmetic: raised when the same options, data and model come to another result. */
export const NUMERICS = 2;

/** Bytes that are hashed at a time: about a millisecond's work. */
const BLOCK = 2 ** 20;

/** SHA-256, in hexadecimal, of plain data, whatever the order of its members; one that is undefined counts as not there. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value, sortMembers)).digest('hex');
}

function sortMembers(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A digest of what was read: texts, labels and splits, whatever files they came from. */
export async function dataDigest(data: TextDataset, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([data.task, data.labels]));
  for (const name of SPLIT_NAMES) {
    const split = data[name];
    if (split !== undefined) await inSlices(addSplit(hash, name, split), signal);
  }
  return hash.digest('hex');
}

function* addSplit(hash: Hash, name: string, { texts, pairs, labels, labelNames }: Split): Slices<void> {
  hash.update(JSON.stringify([name, texts.length, pairs !== undefined, labelNames]));
  hash.update(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength));
  for (const [row, text] of texts.entries()) {
    hash.update(JSON.stringify(pairs === undefined ? text : [text, pairs[row]]));
    if (row % PIECES === 0) yield;
  }
}

/**
 * A digest of a model's files: of a checkpoint, or of an adapter with the checkpoint under it.
 *
 * @throws BertuneError CHECKPOINT_INVALID, NOT_FOUND
 */
export async function modelDigest(directory: string): Promise<string> {
  const hash = createHash('sha256');
  const places = [directory];
  if (await isAdapter(directory)) {
    const base = await localBase(directory, await readAdapter(directory));
    if (base !== null && base !== directory) places.push(base);
  }
  for (const place of places) {
    const names = (await listFiles(place)).filter((name) => isModelFile(name) || SHARD.test(name));
    for (const name of names) {
      hash.update(JSON.stringify([places.indexOf(place), name]));
      await addFile(hash, join(place, name));
    }
  }
  return hash.digest('hex');
}

/** One of several files of weights. */
const SHARD = /^(base\/)?[^/]+-\d+-of-\d+\.safetensors$/;

function addFile(hash: Hash, path: string): Promise<void> {
  return withFile(path, async (file, size) => {
    hash.update(`${size};`);
    const block = new Uint8Array(Math.min(BLOCK, Math.max(1, size)));
    for (let done = 0; done < size; ) {
      const { bytesRead } = await file.read(block, 0, block.length, done);
      if (bytesRead === 0) break;
      hash.update(block.subarray(0, bytesRead));
      done += bytesRead;
    }
  });
}

/** Checks that a run begins with the model and the data that it was planned with. @throws BertuneError INVALID_DATA, CHECKPOINT_INVALID */
export async function expectSources(
  { identity, model }: Experiment,
  data: TextDataset,
  signal?: AbortSignal,
): Promise<void> {
  if (identity === undefined) return;
  const again = 'put them back, or plan the sweep again in another folder';
  if ((await dataDigest(data, signal)) !== identity.data) {
    throw new BertuneError('INVALID_DATA', `The data have changed since this run was planned: ${again}`);
  }
  if ((await modelDigest(await modelDirectory(model, signal && { signal }))) !== identity.model) {
    throw new BertuneError(
      'CHECKPOINT_INVALID',
      `The files of ${model} have changed since this run was planned: ${again}`,
    );
  }
}

import { join } from 'node:path';
import { readDataset } from '../data/dataset.js';
import type { DatasetFiles } from '../data/source.js';
import type { DatasetOptions, TextDataset } from '../data/types.js';
import { readJsonObject } from '../files/input.js';
import { type FindOptions, modelDirectory } from '../hub/index.js';
import { isAdapter, readAdapter } from '../methods/adapter/files.js';
import { localBase } from '../model/base.js';
import { type TaskKind, taskOf, taskOfProblemType } from '../tasks/index.js';
import type { Experiment } from './experiment.js';

/** The task that a model's files state. */
export interface StatedTask {
  readonly task: TaskKind;
  /** How they state it, in words that begin a sentence. */
  readonly reason: string;
}

/**
 * What the files of a model say of its task: those of the adapter, else the config.json of the checkpoint.
 *
 * @returns undefined where they say nothing, or cannot be read: what is wrong with them is said when the model is loaded
 */
export async function statedTask(
  { model, adapter, base }: Pick<Experiment, 'model' | 'adapter' | 'base'>,
  find: FindOptions = {},
): Promise<StatedTask | undefined> {
  for (const each of [adapter, model, base]) {
    const stated = each === undefined ? undefined : await taskIn(each, find).catch(() => undefined);
    if (stated !== undefined) return stated;
  }
  return undefined;
}

async function taskIn(name: string, find: FindOptions): Promise<StatedTask | undefined> {
  const directory = await modelDirectory(name, find);
  if (!(await isAdapter(directory))) return taskOfConfig(name, directory);
  const adapter = await readAdapter(directory);
  const { task } = adapter;
  if (task) return { task, reason: `The adapter ${name} was trained for ${taskOf(task).title}` };
  const base = await localBase(directory, adapter);
  return base === null ? undefined : taskOfConfig(base, base);
}

async function taskOfConfig(name: string, directory: string): Promise<StatedTask | undefined> {
  const { problem_type: type } = await readJsonObject(join(directory, 'config.json'), 'CHECKPOINT_INVALID');
  const task = typeof type === 'string' ? taskOfProblemType(type) : undefined;
  return task && { task, reason: `The problem_type of ${name} is ${type}` };
}

/** Data for a model: for the task that is asked for, else the one that the model's files state, else what the data say. */
export function datasetFor(
  source: string | DatasetFiles,
  options: DatasetOptions,
  stated: StatedTask | undefined,
): Promise<TextDataset> {
  if (options.task !== undefined || stated === undefined) return readDataset(source, options);
  return readDataset(source, { ...options, task: stated.task }, stated.reason);
}

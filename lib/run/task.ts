import { join } from 'node:path';
import type { DatasetFiles } from '../data/source.js';
import type { DatasetOptions, TextDataset } from '../data/types.js';
import { readDataset } from '../dataset.js';
import { readJsonObject } from '../files/input.js';
import { modelDirectory } from '../hub.js';
import { type TaskKind, taskOfProblemType } from '../tasks/index.js';

/** The task that a model's files state. */
export interface StatedTask {
  readonly task: TaskKind;
  /** How they state it, in words that begin a sentence. */
  readonly reason: string;
}

/** What the config.json of a model says of its task; undefined where it says nothing, or cannot be read. */
export async function statedTask(model: string, signal?: AbortSignal): Promise<StatedTask | undefined> {
  const read = async () => {
    const directory = await modelDirectory(model, signal ? { signal } : {});
    return readJsonObject(join(directory, 'config.json'), 'CHECKPOINT_INVALID');
  };
  // What is wrong with it is said when it is loaded.
  const config = await read().catch(() => undefined);
  const type = config?.problem_type;
  const task = typeof type === 'string' ? taskOfProblemType(type) : undefined;
  return task && { task, reason: `The problem_type of ${model} is ${type}` };
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

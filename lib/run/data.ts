import { isAdapter, readAdapter } from '../adapter.js';
import { readConfig } from '../checkpoint/config.js';
import type { TextDataset } from '../data/types.js';
import { loadDataset } from '../dataset.js';
import { modelDirectory } from '../hub.js';
import { findBase } from '../model/load.js';
import type { Experiment } from './experiment.js';

/**
 * Loads the data of a run that trains. Where the model knows all their labels, they keep the model's order (and the
 * model keeps its classifier); otherwise the order is the data's own, and the classifier will be new.
 *
 * @throws BertuneError NOT_FOUND, INVALID_DATA, INVALID_OPTION, ABORTED
 */
export async function loadTrainingData(experiment: Experiment, signal?: AbortSignal): Promise<TextDataset> {
  const options = { ...experiment.dataset, ...(signal && { signal }) };
  const source = experiment.data;
  const data = await loadDataset(source, options);
  const labels = await modelLabels(experiment, signal);
  if (labels === null || labels.every((label, index) => label === data.labels[index])) return data;
  const known = data.labels.every((label) => labels.includes(label)) || areIndices(data.labels, labels.length);
  return known ? loadDataset(source, { ...options, labels }) : data;
}

/** The labels of the adapter or checkpoint that a run starts from; null where its files name none. */
async function modelLabels(experiment: Experiment, signal?: AbortSignal): Promise<readonly string[] | null> {
  const options = signal ? { signal } : {};
  const { base } = experiment;
  const model = await modelDirectory(experiment.model, options);
  const onModel = experiment.adapter !== undefined;
  if (!onModel && !(await isAdapter(model))) return (await readConfig(model)).labels;
  const directory = experiment.adapter === undefined ? model : await modelDirectory(experiment.adapter, options);
  const adapter = await readAdapter(directory);
  if (adapter.labels) return adapter.labels;
  if (onModel) return (await readConfig(model)).labels;
  const checkpoint = base === undefined ? (await findBase(directory, adapter, options)).directory : base;
  return (await readConfig(await modelDirectory(checkpoint, options))).labels;
}

/** Whether labels are numbers that count the classes of a model. */
function areIndices(labels: readonly string[], classes: number): boolean {
  return labels.every((label) => /^\d+$/.test(label) && Number(label) < classes);
}

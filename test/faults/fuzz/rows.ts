import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type DatasetOptions, loadDataset, type TextDataset } from '../../../lib/data/dataset.js';
import type { TaskKind } from '../../../lib/tasks/index.js';
import { sound } from './format.js';

/** @throws Unsound unless every text of a data set has a label of its classes */
export function expectSound(data: TextDataset): void {
  sound(data.labels.length > 0 && new Set(data.labels).size === data.labels.length, 'its classes are not distinct');
  sound(
    data.labels.every((label) => typeof label === 'string' && label !== ''),
    'its classes are not texts',
  );
  for (const split of [data.train, data.validation, data.test]) {
    if (split === undefined) continue;
    const { texts, pairs, labels } = split;
    const width = split.task === 'single-label' ? 1 : data.labels.length;
    sound(
      texts.length > 0 && width * texts.length === labels.length,
      `${texts.length} texts have ${labels.length} labels`,
    );
    sound(pairs === undefined || pairs.length === texts.length, `${texts.length} texts have ${pairs?.length} others`);
    sound(
      labels.every((label) => isSound(label, split.task, data.labels.length)),
      'a label is out of range',
    );
    sound(
      [...texts, ...(pairs ?? [])].every((text) => typeof text === 'string'),
      'a text is none',
    );
  }
}

function isSound(label: number, task: TaskKind, classes: number): boolean {
  if (task === 'regression') return Number.isFinite(label);
  return task === 'multi-label' ? label === 0 || label === 1 : label >= 0 && label < classes;
}

/** Loads a data set, which has to be sound if it is not refused. */
export async function readRows(source: string, options?: DatasetOptions): Promise<void> {
  expectSound(await loadDataset(source, options));
}

/** Reads those of the files of a directory that are there. */
export async function readFiles(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = join(directory, name);
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) await readRows(path);
  }
}

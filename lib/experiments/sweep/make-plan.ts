import { resolve } from 'node:path';
import type { DatasetOptions } from '../../data/types.js';
import { BertuneError } from '../../errors.js';
import { stat } from '../../files/fs.js';
import { embeddedPath } from '../../hub/embedded.js';
import { type FindOptions, modelDirectory, pinned } from '../../hub/index.js';
import type { DeviceOptions } from '../../model/device.js';
import { packageVersion } from '../../native/package.js';
import { option } from '../../options/names.js';
import { applies, doesNothing } from '../../options/table.js';
import { taskOf } from '../../tasks/index.js';
import { TRAINER_OPTIONS } from '../../training/options.js';
import { type DataSource, sourceWords } from '../experiment.js';
import { dataDigest, modelDigest } from '../identity.js';
import { prepareData } from '../prepare.js';
import { cellsOf, type SweepParts, variedAxes } from './cells.js';
import type { PlannedData, PlannedModel, SweepPlan } from './plan.js';
import { type Axis, isSpan } from './space.js';

/** What a sweep is asked to be. */
export interface SweepRequest {
  /** All but those of models and data. */
  readonly axes: readonly Axis[];
  readonly models: readonly string[];
  readonly sources: readonly DataSource[];
  readonly dataset: Omit<DatasetOptions, 'signal' | 'onProgress'>;
  readonly where: DeviceOptions;
  readonly grace: number | null;
  readonly random: SweepParts['random'];
}

/**
 * Makes the plan of a sweep: fetches its models, reads its data, and finds out what decides the result of each cell.
 *
 * @throws BertuneError INVALID_OPTION; as prepareData and modelDirectory
 */
export async function makePlan(request: SweepRequest, find: FindOptions & { signal: AbortSignal }): Promise<SweepPlan> {
  const { signal } = find;
  expectEffect(request);
  const models: PlannedModel[] = [];
  for (const given of request.models) {
    const name = await settled('model', given, find);
    models.push({ name, digest: await modelDigest(await modelDirectory(name, find)) });
  }
  const data: PlannedData[] = [];
  for (const given of request.sources) {
    const source = await settledSource(given, find);
    const experiment = { model: models[0]!.name, data: source, dataset: request.dataset };
    const prepared = await prepareData(experiment, sourceWords(given), signal);
    data.push({ source, digest: await dataDigest(prepared.data, signal), record: prepared.record });
  }
  const { grace } = request;
  expectComparable(data, grace);
  const axes = [
    axisOf('model', models.length),
    axisOf('data', data.length),
    ...request.axes.filter(({ target }) => target.of !== 'model' && target.of !== 'data'),
  ];
  const cells = cellsOf({ ...request, axes, models, data });
  const { options } = cells[0]!;
  const { dataset, where } = request;
  return {
    created: new Date().toISOString(),
    bertune: packageVersion(),
    axes: variedAxes(axes).map(({ name }) => name),
    metric: options.metricForBest ?? taskOf(data[0]!.record.summary?.task).bestMetric,
    ...{ models, data, dataset, where, grace, cells },
  };
}

/** An axis of the indices of a list. */
function axisOf(of: 'model' | 'data', length: number): Axis {
  return { name: of, flag: `--${of}`, target: { of }, values: Array.from({ length }, (_, index) => index) };
}

/** What a name means wherever the sweep is run: a commit of the hub, an absolute path, or what comes with the package. */
async function settled(kind: 'model' | 'dataset', name: string, find: FindOptions): Promise<string> {
  if (await stat(name).catch(() => undefined)) return resolve(name);
  return embeddedPath(kind, name) === name ? pinned(kind, name, find) : name;
}

async function settledSource(source: DataSource, find: FindOptions): Promise<DataSource> {
  if (typeof source === 'string') return settled('dataset', source, find);
  const entries = Object.entries(source).map(([split, files]) => [split, [files].flat().map((file) => resolve(file))]);
  return Object.fromEntries(entries) as DataSource;
}

/** @throws BertuneError INVALID_OPTION for settings that would do nothing in any cell */
function expectEffect({ axes, grace }: SweepRequest): void {
  const valuesOf = (name: string): readonly unknown[] => {
    const axis = axes.find(({ target }) => target.of === 'trainer' && target.name === name);
    if (axis === undefined) return [TRAINER_OPTIONS[name as keyof typeof TRAINER_OPTIONS].default];
    return isSpan(axis.values) ? [axis.values.to] : axis.values;
  };
  for (const { target } of axes) {
    if (target.of !== 'trainer') continue;
    const { onlyWith } = TRAINER_OPTIONS[target.name];
    if (!applies(onlyWith, valuesOf)) throw doesNothing(target.name, onlyWith);
  }
  if (grace === null || !valuesOf('evaluationStrategy').includes('no')) return;
  const [stop, none] = [option('stop', 'median'), option('evaluationStrategy', 'no')];
  throw new BertuneError('INVALID_OPTION', `${stop} needs evaluations; leave out ${none}`);
}

/** @throws BertuneError INVALID_DATA, INVALID_OPTION for what cannot be ranked together */
function expectComparable(data: readonly PlannedData[], grace: number | null): void {
  const tasks = new Set(data.map(({ record }) => record.summary?.task));
  if (tasks.size > 1) {
    const words = data.map(({ record }) => `${record.source} are for ${taskOf(record.summary?.task).title}`).join(', ');
    throw new BertuneError('INVALID_DATA', `Expected data for one task in a sweep but ${words}`);
  }
  const without = data.find(({ record }) => record.splits.validation === undefined);
  if (grace === null || without === undefined) return;
  throw new BertuneError(
    'INVALID_OPTION',
    `${option('stop', 'median')} needs a validation split, which ${without.record.source} do not have; add ` +
      `${option('split.validation', 0.1)}`,
  );
}

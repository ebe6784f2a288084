import { join, resolve } from 'node:path';
import type { DatasetOptions } from '../../data/types.js';
import { BertuneError } from '../../errors.js';
import { readJsonObject } from '../../files/input.js';
import { isObject } from '../../files/json.js';
import { writeJson } from '../../files/output.js';
import { expectMethod, type Method } from '../../methods/index.js';
import type { DeviceOptions } from '../../model/device.js';
import type { CellValue, DataRecord } from '../../report/records.js';
import type { BestMetric } from '../../tasks/index.js';
import { optionsOf, type TrainerOptions } from '../../training/options.js';
import type { DataSource, Experiment } from '../experiment.js';
import { NUMERICS } from '../identity.js';
import { cellId } from './cell-id.js';

/* The folder of a sweep: sweep.json says what is to be run; what was run lies beside it. */

export const PLAN_FILE = 'sweep.json';

/** Raised when the meaning of the file changes. */
const FORMAT = 1;

/** The folders beside the plan. */
export const PLACES = {
  /** A file a cell that is done, has failed or was given up: it appears whole. */
  results: 'results',
  /** Who runs which cell. */
  leases: 'leases',
  /** Checkpoints of cells that are not done. */
  runs: 'runs',
  /** Metrics by epoch, for median stopping. */
  curves: 'curves',
} as const;

/** A model of a sweep. */
export interface PlannedModel {
  /** As it was named, at its commit where it is on the hub, absolute where it is a folder. */
  readonly name: string;
  readonly digest: string;
}

/** Data of a sweep. */
export interface PlannedData {
  readonly source: DataSource;
  readonly digest: string;
  /** As results.json holds them. */
  readonly record: DataRecord;
}

/** One run of a sweep. */
export interface PlannedCell {
  /** A digest of all that decides its result: 16 hexadecimal digits. */
  readonly id: string;
  readonly title: string;
  /** The title without the seed. */
  readonly group: string;
  readonly values: Readonly<Record<string, CellValue>>;
  /** Indices into the plan's lists. */
  readonly model: number;
  readonly data: number;
  readonly method: Method;
  readonly options: Omit<TrainerOptions, 'method'>;
}

/** What a sweep is to run. */
export interface SweepPlan {
  readonly created: string;
  readonly bertune: string;
  /** Names of the settings that vary, but for the seed. */
  readonly axes: readonly string[];
  /** What cells are ranked by. */
  readonly metric: BestMetric;
  readonly models: readonly PlannedModel[];
  readonly data: readonly PlannedData[];
  readonly dataset: Omit<DatasetOptions, 'signal' | 'onProgress'>;
  readonly where: DeviceOptions;
  /** Epochs before median stopping; null: every cell runs to its end. */
  readonly grace: number | null;
  readonly cells: readonly PlannedCell[];
}

/** Writes the plan of a sweep. @throws BertuneError OUTPUT_REFUSED */
export async function writePlan(folder: string, plan: SweepPlan): Promise<void> {
  await writeJson(join(folder, PLAN_FILE), { format: FORMAT, numerics: NUMERICS, ...plan });
}

/**
 * Reads the plan of a sweep.
 *
 * @throws BertuneError NOT_FOUND where there is none; INVALID_DATA where it is no plan, or of another version
 */
export async function readPlan(folder: string): Promise<SweepPlan> {
  const path = join(folder, PLAN_FILE);
  const json = await readJsonObject(path, 'INVALID_DATA').catch((cause: unknown) => {
    if (!(cause instanceof BertuneError) || cause.code !== 'NOT_FOUND') throw cause;
    throw new BertuneError('NOT_FOUND', `Expected a sweep in ${folder} but there is no ${PLAN_FILE}: plan it first`);
  });
  for (const [name, own] of [
    ['format', FORMAT],
    ['numerics', NUMERICS],
  ] as const) {
    if (json[name] === own) continue;
    const found = JSON.stringify(json[name])?.slice(0, 100);
    throw new BertuneError(
      'INVALID_DATA',
      `Expected "${name}": ${own} in ${path} but found ${found}: it was planned with bertune ${String(json.bertune)}; run it ` +
        'with that version, or plan it again in another folder',
    );
  }
  const plan = json as unknown as SweepPlan;
  if (!Array.isArray(plan.models) || !Array.isArray(plan.data) || !Array.isArray(plan.cells) || !isObject(plan.where)) {
    throw new BertuneError('INVALID_DATA', `Expected models, data, cells and where in ${path}`);
  }
  for (const cell of plan.cells) expectCell(cell, plan, path);
  return plan;
}

/** What becomes a path, or leads to something else in the plan. The settings themselves are checked when they are used. */
function expectCell(cell: unknown, { models, data }: SweepPlan, path: string): void {
  const isSound =
    isObject(cell) &&
    /^[0-9a-f]{16}$/.test(String(cell.id)) &&
    isObject(models[Number(cell.model)]) &&
    isObject(data[Number(cell.data)]) &&
    isObject(cell.method) &&
    isObject(cell.options) &&
    isObject(cell.values);
  if (isSound) return;
  throw new BertuneError('INVALID_DATA', `Expected a cell in ${path} but found ${JSON.stringify(cell)?.slice(0, 200)}`);
}

/**
 * The run of a cell.
 *
 * @param saveSteps steps between its checkpoints; undefined: one per epoch
 * @throws BertuneError INVALID_OPTION; INVALID_DATA for a cell that is not what it was planned to be
 */
export function experimentOf(folder: string, plan: SweepPlan, cell: PlannedCell, saveSteps?: number): Experiment {
  const [model, data] = [plan.models[cell.model]!, plan.data[cell.data]!];
  const { where, grace } = plan;
  const method = expectMethod('method', cell.method);
  if (cellId({ model: model.digest, data, method, options: cell.options, where, grace }) !== cell.id) {
    throw new BertuneError(
      'INVALID_DATA',
      `Cell ${cell.id} of ${join(folder, PLAN_FILE)} was changed after it was planned; plan the sweep again, in another folder`,
    );
  }
  return {
    name: cell.id,
    title: cell.title,
    model: model.name,
    data: data.source,
    dataset: plan.dataset,
    method,
    options: optionsOf(method.kind, {
      ...cell.options,
      outputDirectory: join(resolve(folder), PLACES.runs, cell.id),
      ...(saveSteps === undefined ? { saveStrategy: 'epoch' } : { saveStrategy: 'steps', saveSteps }),
      saveTotalLimit: 1,
    }),
    where: plan.where,
    resume: 'latest',
    identity: { model: model.digest, data: data.digest },
    ...(plan.grace !== null && {
      stop: { curves: join(resolve(folder), PLACES.curves), group: data.digest, grace: plan.grace },
    }),
  };
}

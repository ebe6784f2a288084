import { join } from 'node:path';
import { BertuneError } from '../errors.js';
import { stat, statfs } from '../files/fs.js';
import type { MethodPlan, PlannedParameter } from '../methods/index.js';
import { isAdapterBias } from '../methods/method.js';
import type { AnyClassifier } from '../model/classifier.js';
import { option } from '../options/names.js';
import { TOKENIZER_FILES } from '../tokenizer/files/source.js';
import { checkpointSteps } from './checkpoint/directories.js';
import { isInModel } from './checkpoint/tensors.js';
import type { TrainerSettings } from './options.js';
import type { RunPlan } from './plan.js';
import type { RunPosition } from './position.js';

/* Room on the disk is looked at before a run: a model that cannot be saved is found out before it is trained. */

/** Logs, configurations and headers of a save: far less. */
const SMALL_FILES = 2 ** 18;

/** A run that is about to begin, or to go on, and what its checkpoints are made of. */
export interface SavedRun {
  model: AnyClassifier;
  methodPlan: MethodPlan;
  settings: TrainerSettings;
  plan: RunPlan;
  position: RunPosition;
}

/**
 * Checks that an output directory has room for the model and the checkpoints that are asked for. Old files stay until the
 * new ones are written: the room they take does not count.
 *
 * @param directory exists
 * @throws BertuneError OUTPUT_REFUSED naming the bytes that are needed and those that are there
 */
export async function expectRoom(directory: string, run: SavedRun): Promise<void> {
  const model = await modelBytes(run);
  const checkpoint = model + optimizerBytes(run);
  const checkpoints = await checkpointsAtOnce(directory, run);
  const needed = model + checkpoints * checkpoint;
  const available = await availableBytes(directory);
  if (available === null || needed <= available) return;
  const parts = [
    `${model} for the ${run.methodPlan.lora || run.methodPlan.prefix ? 'adapter' : 'model'}`,
    ...(checkpoints === 0
      ? []
      : [`${checkpoint} for each of ${checkpoints} checkpoint${checkpoints === 1 ? '' : 's'}`]),
  ];
  const advice =
    checkpoints > 1
      ? `Free some space, choose a directory on another disk, or keep fewer checkpoints with ${option('saveTotalLimit')}`
      : 'Free some space, or choose a directory on another disk';
  throw new BertuneError(
    'OUTPUT_REFUSED',
    `The run would need ${needed} bytes in ${directory} (${parts.join(' and ')}) but ${available} are available there. ${advice}`,
  );
}

/** Bytes of the files that `save` writes. */
async function modelBytes({ model, methodPlan }: SavedRun): Promise<number> {
  const { lora, prefix, parameters } = methodPlan;
  const all = elementsOf(parameters, ({ group }) => group === 'encoder' || group === 'head');
  const tokenizer = await tokenizerBytes(model.base.directory);
  if (!lora && !prefix) return 4 * all + tokenizer + SMALL_FILES;
  const { layers, hiddenSize } = model.config;
  const own = prefix
    ? prefix.virtualTokens * 2 * layers * hiddenSize
    : elementsOf(parameters, (row) => row.group === 'lora' || isAdapterBias(row, lora));
  const adapter = 4 * (own + elementsOf(parameters, ({ group }) => group === 'head')) + tokenizer + SMALL_FILES;
  return model.base.intact ? adapter : adapter + 4 * all + tokenizer + SMALL_FILES;
}

/** Bytes that a checkpoint has beside the model: the moments, and the parameters that the model's files do not hold. */
function optimizerBytes({ model, methodPlan }: SavedRun): number {
  const { precision } = model;
  const moments = 2 * elementsOf(methodPlan.parameters, ({ trainable }) => trainable);
  const values = elementsOf(
    methodPlan.parameters,
    (row) => row.trainable && !isInModel(row.name, methodPlan, precision),
  );
  return (precision === 'fp64' ? 8 : 4) * (moments + values);
}

/** How many more checkpoints there will be at most: one more than are kept, as it is written before an old one goes. */
async function checkpointsAtOnce(directory: string, { settings, plan, position }: SavedRun): Promise<number> {
  const { saveStrategy, saveSteps, saveTotalLimit, evaluationStrategy, evalSteps } = settings;
  const epochs = plan.epochs - position.epochs_done;
  const every = (steps: number) => Math.floor(plan.totalSteps / steps) - Math.floor(position.step / steps);
  const due = {
    no: 0,
    epoch: epochs,
    steps: every(saveSteps),
    best: evaluationStrategy === 'steps' ? every(evalSteps) + 1 : epochs,
  }[saveStrategy];
  if (saveTotalLimit === null) return due;
  const there = (await checkpointSteps(directory)).length;
  return Math.min(due, Math.max(1, saveTotalLimit + 1 - there));
}

function elementsOf(rows: MethodPlan['parameters'], wanted: (row: PlannedParameter) => boolean): number {
  let elements = 0;
  for (const row of rows) if (wanted(row)) elements += row.shape.reduce((a, b) => a * b, 1);
  return elements;
}

async function tokenizerBytes(directory: string): Promise<number> {
  const sizes = TOKENIZER_FILES.map(async (name) => (await stat(join(directory, name)).catch(() => undefined))?.size);
  return (await Promise.all(sizes)).reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/** Bytes that may still be written to a directory's file system; null where it does not say. */
async function availableBytes(directory: string): Promise<number | null> {
  const found = await statfs(directory).catch(() => undefined);
  return found === undefined || found.blocks === 0 ? null : found.bavail * found.bsize;
}

import { createHash, type Hash } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { BertuneError } from '../../errors.js';
import type { DirectoryLock } from '../../files/lock.js';
import { type MethodPlan, trainedNames } from '../../methods/index.js';
import type { AnyClassifier } from '../../model/classifier.js';
import { kindOf } from '../../model/device.js';
import type { Values } from '../../model/session.js';
import { loadNative, type NativeDtype, type NativePrecision, type NativeSession } from '../../native/index.js';
import { TimeSlice } from '../../time-slice.js';
import type { EncodedTexts } from '../../tokenizer/index.js';
import type { BestModel } from '../best-model.js';
import type { Resumption } from '../events.js';
import type { TrainerSettings } from '../options.js';
import type { RunPlan } from '../plan.js';
import { type RunPosition, startPosition } from '../position.js';
import { readTrainerState, STATE_FILE, type TrainerState } from '../state.js';
import type { FoundCheckpoint } from './directories.js';
import {
  expectSameRun,
  extensionNotes,
  machineNotes,
  RUN_FILE,
  type RunIdentity,
  type RunMachine,
  readRun,
} from './run-record.js';
import { CheckpointSaver } from './saver.js';
import { readBest, readTrained } from './tensors.js';

/** Examples as the model sees them: each window is one, with its text's labels. */
export interface Examples {
  encoded: EncodedTexts;
  labels: Int32Array | Float32Array;
}

/** A run that is about to begin, or to go on. */
export interface PlacedRun {
  model: AnyClassifier;
  native: NativeSession;
  methodPlan: MethodPlan;
  /** Before what was open was filled in. */
  given: TrainerSettings;
  /** Of the output directory; null without one. */
  lock: DirectoryLock | null;
  plan: RunPlan;
  state: TrainerState;
  best: BestModel | null;
  train: Examples;
  /** null: nothing is evaluated. */
  validation: Examples | null;
}

/** Where a run begins or goes on, and what saves it. */
interface Place {
  position: RunPosition;
  /** null: it starts at the beginning. */
  resumption: Resumption | null;
  /** null: nothing is saved on the way. */
  checkpoints: CheckpointSaver | null;
  /** What the run is; computed when it is first asked for, as it takes reading every parameter that does not train. */
  identify: () => Promise<RunIdentity>;
}

/**
 * Puts a run where it begins, or where a checkpoint of it was saved.
 *
 * @param found null: the run starts at the beginning
 * @throws BertuneError as resumeRun
 */
export async function placeRun(run: PlacedRun, found: FoundCheckpoint | null): Promise<Place> {
  const { model, native, methodPlan, given, lock, plan, state, best } = run;
  const { outputDirectory: output } = given;
  let known: Promise<RunIdentity> | undefined;
  const identify = () => {
    known ??= identityOf(run);
    return known;
  };
  const machine = machineOf(model);
  const resumed =
    found &&
    (await resumeRun(found.directory, { native, methodPlan, plan, identity: await identify(), machine, state, best }));
  const resumption = resumed && { ...resumed.resumption, notes: [...found.damaged, ...resumed.resumption.notes] };
  const saved =
    resumption && output !== null && dirname(resumption.directory) === resolve(output) ? resumption.step : null;
  return {
    position: resumed?.position ?? startPosition(),
    resumption,
    identify,
    checkpoints:
      output === null || lock === null
        ? null
        : new CheckpointSaver({ output, lock, model, native, methodPlan, plan, identify, machine }, saved),
  };
}

/** What a run is, to tell it from others. */
async function identityOf({
  model,
  native,
  methodPlan,
  given,
  plan,
  train,
  validation,
}: PlacedRun): Promise<RunIdentity> {
  const { outputDirectory: _, saveStrategy: _when, saveSteps: _steps, saveTotalLimit: _limit, ...training } = given;
  // However it was said, a run is as long as its steps; and what it comes to does not depend on how many processes share
  // them, nor on what they keep in memory.
  const { epochs: _epochs, maxSteps: _most, distributed: _group, collectiveTimeout: _wait, ...settings } = training;
  const { gradientCheckpointing: _memory, ...deciding } = settings;
  return {
    settings: deciding,
    total_steps: plan.totalSteps,
    labels: model.labels,
    precision: model.precision,
    frozen: await parametersDigest(native, methodPlan, false),
    train: await dataDigest(train.encoded, train.labels),
    validation: validation && (await dataDigest(validation.encoded, validation.labels)),
  };
}

function machineOf({ where }: AnyClassifier): RunMachine {
  const { library, version, kernel } = loadNative().blas();
  return { device: kindOf(where.device), threads: where.threads, blas: `${library} ${version} (${kernel})` };
}

/** The run that is to go on. */
interface ResumedParts {
  native: NativeSession;
  methodPlan: MethodPlan;
  plan: RunPlan;
  identity: RunIdentity;
  machine: RunMachine;
  /** Taken on from the checkpoint. */
  state: TrainerState;
  best: BestModel | null;
}

/**
 * Puts a run where a checkpoint of it was saved: parameters and moments, log, best epoch. Everything is read and checked
 * before anything changes.
 *
 * @param directory of the checkpoint, whole
 * @throws BertuneError INVALID_OPTION or INVALID_DATA where it is of another run; NOT_FOUND, CHECKPOINT_INVALID
 */
async function resumeRun(
  directory: string,
  parts: ResumedParts,
): Promise<{ position: RunPosition; resumption: Resumption }> {
  const { native, methodPlan, plan, identity, machine, state, best } = parts;
  const precision = identity.precision as NativePrecision;
  const saved = await readRun(join(directory, RUN_FILE));
  expectSameRun(saved.identity, identity, directory);
  const { position } = saved;
  expectPossible(position, saved.identity.total_steps, plan, directory);
  reopenEpoch(position, plan);
  const savedState = await readTrainerState(join(directory, STATE_FILE));
  const trained = await readTrained(directory, methodPlan, precision, identity.labels);
  const bestParameters = best?.keeps ? await readBest(directory, methodPlan, precision) : null;

  for (const part of ['value', 'm', 'v'] as const) {
    for (const [name, { dtype, data }] of trained[part])
      await native.write(name, part, dtype as NativeDtype, data, true);
  }
  Object.assign(state, savedState);
  if (best && saved.best) {
    const parameters = bestParameters ?? (best.keeps ? await currentParameters(native, methodPlan) : new Map());
    best.resume(saved.best.best, saved.best.waited, saved.best.best === null ? new Map() : parameters);
  }
  return {
    position,
    resumption: {
      directory,
      step: position.step,
      epochs: [...position.epochs],
      notes: [...extensionNotes(saved.identity, identity, position.step), ...machineNotes(saved.machine, machine)],
    },
  };
}

async function currentParameters(native: NativeSession, plan: MethodPlan): Promise<Map<string, Values>> {
  const values = new Map<string, Values>();
  for (const name of trainedNames(plan)) values.set(name, await native.read(name, 'value'));
  return values;
}

/** A position that the saved run had: what is not would read beyond the order of examples, or never end. */
function expectPossible(
  { step, epochs_done }: RunPosition,
  totalSteps: number,
  { stepsPerEpoch }: RunPlan,
  directory: string,
): void {
  const first = Math.min(totalSteps, epochs_done * stepsPerEpoch);
  const last = Math.min(totalSteps, (epochs_done + 1) * stepsPerEpoch);
  if (step >= 1 && epochs_done <= Math.ceil(totalSteps / stepsPerEpoch) && step >= first && step <= last) return;
  throw new BertuneError(
    'CHECKPOINT_INVALID',
    `Expected a step of ${first}..${last} with ${epochs_done} epochs done in ${join(directory, RUN_FILE)} but found ${step}`,
  );
}

/** A run that ended inside an epoch, and is made longer, does the rest of that epoch first. */
function reopenEpoch(position: RunPosition, { totalSteps, stepsPerEpoch }: RunPlan): void {
  const { step, epochs_done } = position;
  if (step < Math.min(totalSteps, epochs_done * stepsPerEpoch)) position.epochs_done -= 1;
}

/** Bytes that are hashed at a time: about a millisecond's work. */
const BLOCK = 2 ** 20;

/** SHA-256, in hexadecimal, of examples as the model sees them: token ids, where each text begins, token types, labels. */
async function dataDigest({ ids, offsets, typeIds }: EncodedTexts, labels: Int32Array | Float32Array): Promise<string> {
  const hash = createHash('sha256');
  for (const array of [ids, offsets, typeIds, labels]) {
    hash.update(`${array?.length ?? 0};`);
    if (array) await update(hash, array);
  }
  return hash.digest('hex');
}

/** SHA-256, in hexadecimal, of the parameters that train, or of those that do not, with their names. */
export async function parametersDigest(native: NativeSession, plan: MethodPlan, trained: boolean): Promise<string> {
  const hash = createHash('sha256');
  for (const { name, trainable } of plan.parameters) {
    if (trainable !== trained) continue;
    hash.update(`${name};`);
    await update(hash, await native.read(name, 'value'));
  }
  return hash.digest('hex');
}

async function update(hash: Hash, array: Values | Int32Array): Promise<void> {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const slice = new TimeSlice();
  for (let start = 0; start < bytes.length; start += BLOCK) {
    hash.update(bytes.subarray(start, start + BLOCK));
    if (slice.isOver) await slice.next();
  }
}

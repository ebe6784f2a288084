import { dirname, resolve } from 'node:path';
import type { DirectoryLock } from '../../files/lock.js';
import type { MethodPlan } from '../../methods/index.js';
import type { AnyClassifier } from '../../model/classifier.js';
import type { NativeSession } from '../../native/index.js';
import { loadNative } from '../../native/index.js';
import type { EncodedTexts } from '../../tokenizer/index.js';
import type { BestModel } from '../best-model.js';
import type { Resumption } from '../events.js';
import type { TrainerSettings } from '../options.js';
import type { RunPlan } from '../plan.js';
import { type RunPosition, startPosition } from '../position.js';
import type { TrainerState } from '../state.js';
import { dataDigest, frozenDigest } from './digests.js';
import type { FoundCheckpoint } from './directories.js';
import { resumeRun } from './resume.js';
import type { RunIdentity, RunMachine } from './run-record.js';
import { CheckpointSaver } from './saver.js';

/** Examples as the model sees them. */
interface Examples {
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
export interface Place {
  position: RunPosition;
  /** null: it starts at the beginning. */
  resumption: Resumption | null;
  /** null: nothing is saved on the way. */
  checkpoints: CheckpointSaver | null;
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
  // Once, and only where it is needed: it takes reading every parameter that does not train.
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
    checkpoints:
      output === null || lock === null
        ? null
        : new CheckpointSaver({ output, lock, model, native, methodPlan, plan, identify, machine }, saved),
  };
}

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
  // However it was said, a run is as long as its steps.
  const { epochs: _epochs, maxSteps: _most, ...deciding } = training;
  return {
    settings: deciding,
    total_steps: plan.totalSteps,
    labels: model.labels,
    precision: model.precision,
    frozen: await frozenDigest(native, methodPlan),
    train: await dataDigest(train.encoded, train.labels),
    validation: validation && (await dataDigest(validation.encoded, validation.labels)),
  };
}

function machineOf({ where }: AnyClassifier): RunMachine {
  const { library, version, kernel } = loadNative().blas();
  return { device: where.device, threads: where.threads, blas: `${library} ${version} (${kernel})` };
}

import { join } from 'node:path';
import { BertuneError } from '../../errors.js';
import { type MethodPlan, trainedNames } from '../../methods/index.js';
import type { Values } from '../../model/session.js';
import type { NativeDtype, NativePrecision, NativeSession } from '../../native/index.js';
import type { BestModel } from '../best-model.js';
import type { Resumption } from '../events.js';
import type { RunPlan } from '../plan.js';
import type { RunPosition } from '../position.js';
import type { TrainerState } from '../state.js';
import {
  expectSameRun,
  extensionNotes,
  machineNotes,
  RUN_FILE,
  type RunIdentity,
  type RunMachine,
  readRun,
} from './run-record.js';
import { readBest, readTrained } from './tensors.js';
import { readTrainerState, STATE_FILE } from './trainer-state.js';

/** The run that is to go on. */
export interface ResumedParts {
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
export async function resumeRun(
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

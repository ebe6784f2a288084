import { join } from 'node:path';
import type { DirectoryLock } from '../../files/lock.js';
import { writeJson } from '../../files/output.js';
import type { MethodPlan } from '../../methods/index.js';
import type { AnyClassifier } from '../../model/classifier.js';
import { writeModel } from '../../model/save.js';
import type { NativeSession } from '../../native/index.js';
import type { BestModel } from '../best-model.js';
import type { RunPlan } from '../plan.js';
import type { RunPosition } from '../position.js';
import { STATE_FILE, type TrainerState } from '../state.js';
import { checkpointName, checkpointSteps, removeCheckpoint, writeCheckpointDirectory } from './directories.js';
import { formatRun, RUN_FILE, type RunIdentity, type RunMachine } from './run-record.js';
import { writeBest, writeOptimizer } from './tensors.js';

/** What a run's checkpoints are made from. */
export interface SaverParts {
  /** Directory of the checkpoints. */
  output: string;
  /** Of that directory. */
  lock: DirectoryLock;
  model: AnyClassifier;
  native: NativeSession;
  methodPlan: MethodPlan;
  plan: RunPlan;
  /** What the run is; computed when it is first asked for. */
  identify: () => Promise<RunIdentity>;
  machine: RunMachine;
}

/** A run as it is when it is saved. */
export interface RunAsItIs {
  /** trainer_state.json; best_model_checkpoint is set where the checkpoint is the best epoch's. */
  state: TrainerState;
  position: RunPosition;
  best: BestModel | null;
}

/** Saves the checkpoints of a run: when, what, and how many are kept. */
export class CheckpointSaver {
  readonly #parts: SaverParts;
  #lastSaved: number | null;

  /** @param lastSaved step of the checkpoint that the run goes on from, where it is in the same directory */
  constructor(parts: SaverParts, lastSaved: number | null) {
    this.#parts = parts;
    this.#lastSaved = lastSaved;
  }

  /** Step of the latest checkpoint; null before the first. */
  get lastSaved(): number | null {
    return this.#lastSaved;
  }

  /** Whether a checkpoint is to be saved after so many steps. */
  isDue(step: number, { epochEnd = false, isBest = false } = {}): boolean {
    const { saveStrategy, saveSteps } = this.#parts.plan.settings;
    if (this.#lastSaved === step) return false;
    if (saveStrategy === 'best') return isBest;
    return saveStrategy === 'epoch' ? epochEnd : saveStrategy === 'steps' && step % saveSteps === 0;
  }

  /** Steps until the next checkpoint inside an epoch. */
  stepsUntilDue(step: number): number {
    const { saveStrategy, saveSteps } = this.#parts.plan.settings;
    return saveStrategy === 'steps' ? saveSteps - (step % saveSteps) : Infinity;
  }

  /**
   * Saves a checkpoint, then removes those beyond the limit.
   *
   * @returns its directory
   * @throws BertuneError OUTPUT_REFUSED; the checkpoints before are as they were
   */
  async save(run: RunAsItIs): Promise<string> {
    const identity = await this.#parts.identify();
    return this.#parts.lock.inTurn(() => this.#save(run, identity));
  }

  async #save(run: RunAsItIs, identity: RunIdentity): Promise<string> {
    const { output, model, native, methodPlan, machine } = this.#parts;
    const { position, best } = run;
    const { step } = position;
    const isBest = run.state.best_global_step === step;
    const state = isBest ? { ...run.state, best_model_checkpoint: join(output, checkpointName(step)) } : run.state;
    const directory = await writeCheckpointDirectory(output, step, async (temporary) => {
      await writeModel(model, temporary, { as: join(output, checkpointName(step)) });
      await writeOptimizer(temporary, native, methodPlan, model.precision);
      if (best?.keeps && best.best && best.best.step !== step) await writeBest(temporary, best.parameters, methodPlan);
      await writeJson(join(temporary, 'scheduler.json'), this.#scheduler(step));
      await writeJson(join(temporary, 'rng.json'), this.#randomNumbers(position));
      await writeJson(join(temporary, STATE_FILE), state);
      const record = best && { best: best.best, waited: best.waited };
      await writeJson(join(temporary, RUN_FILE), formatRun({ identity, machine, position, best: record }));
    });
    run.state.best_model_checkpoint = state.best_model_checkpoint;
    this.#lastSaved = step;
    await this.#prune(run.state.best_global_step);
    return directory;
  }

  /** Removes the oldest checkpoints; never the latest, nor the best epoch's. */
  async #prune(bestStep: number | null): Promise<void> {
    const { output, plan } = this.#parts;
    const { saveTotalLimit } = plan.settings;
    if (saveTotalLimit === null) return;
    const others = (await checkpointSteps(output)).filter((step) => step !== this.#lastSaved && step !== bestStep);
    const latest = this.#lastSaved === null ? 0 : 1;
    for (const step of others.slice(Math.max(0, saveTotalLimit - latest))) await removeCheckpoint(output, step);
  }

  /** Where the learning rate is, for other readers: it follows from settings and step. */
  #scheduler(step: number) {
    const { plan } = this.#parts;
    return {
      schedule: plan.settings.schedule,
      base_lr: plan.settings.learningRate,
      last_step: step,
      last_lr: plan.learningRate(Math.max(0, step - 1)),
      total_steps: plan.totalSteps,
      warmup_steps: plan.warmupSteps,
    };
  }

  /** Where the random numbers are, for other readers: they follow from seed and step. */
  #randomNumbers({ step, epochs_done }: RunPosition) {
    const { stepsPerEpoch, settings } = this.#parts.plan;
    const { seed, batchSize, gradientAccumulation } = settings;
    const epochSteps = Math.max(0, step - epochs_done * stepsPerEpoch);
    return {
      seed,
      dropout: { generator: 'philox4x32-10', step },
      order: {
        generator: 'mt19937',
        seed: seed + epochs_done,
        position: epochSteps * batchSize * gradientAccumulation,
      },
    };
  }
}

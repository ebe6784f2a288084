import type { EventEmitter } from 'node:events';
import { BertuneError } from '../errors.js';
import { Pace } from '../model/batches.js';
import { evaluateSplit, type LoadedSplit } from '../model/evaluation.js';
import type { NativeSession, NativeTrainResult } from '../native/index.js';
import { option } from '../options/names.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import type { LossOptions } from '../tasks/index.js';
import { throwIfAborted } from '../time-slice.js';
import type { BestModel } from './best-model.js';
import type { CheckpointSaver } from './checkpoint/saver.js';
import type { EpochSummary, TrainerEvents } from './events.js';
import type { RunPlan } from './plan.js';
import { emptyTotals, RecentSteps, type RunPosition } from './position.js';
import { evaluateRow, type LogHistoryRow, roundTo, type TrainerState, type TrainSummaryRow } from './state.js';

/** Seconds of work a call of the addon. */
const CALL_SECONDS = 0.15;

/** Steps that the loss and accuracy of 'progress' look back over. */
const RECENT_STEPS = 50;

/** What a run needs. */
export interface RunParts {
  native: NativeSession;
  plan: RunPlan;
  /** Handle of the training texts in the session. */
  dataset: number;
  /** null: nothing is evaluated. */
  validation: LoadedSplit | null;
  /** Of each label (NC), in evaluations. */
  thresholds: readonly number[];
  loss: LossOptions;
  /** Names of the parameters that train. */
  trainable: readonly string[];
  /** null: no best epoch is looked for. */
  best: BestModel | null;
  /** Kept up to date as the run goes on. */
  state: TrainerState;
  /** Where it starts, kept up to date as well. */
  position: RunPosition;
  /** null: nothing is saved on the way. */
  checkpoints: CheckpointSaver | null;
  signal: AbortSignal | undefined;
  /** Asked after each epoch whether it was the last. */
  stopWhen: ((epoch: EpochSummary) => boolean | Promise<boolean>) | undefined;
  /** @throws BertuneError DISPOSED once the model is disposed */
  expectUsable: () => void;
  events: EventEmitter<TrainerEvents>;
}

/** What a run came to. */
export interface RunOutcome {
  stopped: 'done' | 'early';
  summary: TrainSummaryRow;
  /** The last on the validation split, or that of the parameters that were put back; null: none. */
  evaluation: EvaluateResult | null;
}

/**
 * One run over the epochs: gives the addon steps in calls that end where something is to be logged, evaluated, saved or
 * shown. What is logged, and when, follows Hugging Face's Trainer.
 */
export class TrainingRun {
  readonly #parts: RunParts;
  readonly #position: RunPosition;
  readonly #pace = new Pace(CALL_SECONDS);
  readonly #recent = new RecentSteps(RECENT_STEPS);
  /** When this run, or its latest resumption, began; less the seconds that it had taken before. */
  readonly #began: number;
  /** Seconds of the last evaluation. */
  #evaluationSeconds = 0;
  #evaluation: EvaluateResult | null = null;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#position = parts.position;
    this.#began = performance.now() - 1000 * parts.position.seconds;
  }

  /**
   * Trains until done. On failure the parameters are those of the last finished step. A run that is stopped saves a
   * checkpoint first, where it has a place for one.
   *
   * @throws BertuneError NON_FINITE_LOSS, ABORTED, DISPOSED, OUTPUT_REFUSED; whatever a listener throws
   */
  async run(): Promise<RunOutcome> {
    const { best, native } = this.#parts;
    try {
      const stopped = await this.#runEpochs();
      const summary = this.#summary();
      this.#parts.state.log_history.push(summary);
      await best?.restore(native);
      return { stopped, summary, evaluation: this.#evaluation };
    } catch (cause) {
      if (cause instanceof BertuneError && cause.code === 'ABORTED') await this.#saveStopped();
      throw cause;
    }
  }

  async #runEpochs(): Promise<RunOutcome['stopped']> {
    const { plan, best, stopWhen } = this.#parts;
    let summary: EpochSummary | undefined;
    while (this.#position.epochs_done < plan.epochs) {
      if (best?.exhausted || (summary && (await stopWhen?.(summary)))) return 'early';
      summary = await this.#runEpoch(this.#position.epochs_done);
    }
    return 'done';
  }

  /** An epoch, or what is left of it. */
  async #runEpoch(epoch: number): Promise<EpochSummary> {
    const { plan, events, checkpoints } = this.#parts;
    const position = this.#position;
    const order = plan.orderOf(epoch);
    const firstStep = epoch * plan.stepsPerEpoch;
    const lastStep = Math.min(plan.totalSteps, firstStep + plan.stepsPerEpoch);
    while (position.step < lastStep) {
      this.#expectGoing();
      await this.#runSteps(order, position.step - firstStep, this.#callSteps(lastStep));
      this.#showProgress();
      // At the epoch's end the evaluation comes first.
      if (position.step < lastStep && checkpoints?.isDue(position.step)) await this.#save();
    }
    if (plan.settings.loggingSteps === 'epoch') this.#log();
    const evaluation = await this.#evaluate();
    const totals = position.epoch_totals;
    const summary: EpochSummary = {
      epoch: this.#parts.state.epoch,
      epochs: plan.epochs,
      step: position.step,
      trainLoss: totals.loss / totals.steps,
      trainAccuracy: totals.correct / totals.examples,
      evaluation,
    };
    const { epoch: epochs, step, trainLoss, trainAccuracy } = summary;
    position.epochs.push({ epoch: epochs, step, train_loss: trainLoss, train_accuracy: trainAccuracy });
    position.epoch_totals = emptyTotals();
    position.epochs_done = epoch + 1;
    events.emit('epoch', summary);
    if (checkpoints?.isDue(position.step, { epochEnd: true })) await this.#save();
    return summary;
  }

  /** Looks whether to go on. */
  #expectGoing(): void {
    throwIfAborted(this.#parts.signal);
    this.#parts.expectUsable();
  }

  /** Steps of the next call: up to the epoch's end, the next row of the log or the next checkpoint. */
  #callSteps(lastStep: number): number {
    const { plan, checkpoints } = this.#parts;
    const { loggingSteps } = plan.settings;
    const { step } = this.#position;
    const untilLog = loggingSteps === 'epoch' ? Infinity : loggingSteps - (step % loggingSteps);
    return Math.min(this.#pace.next(), lastStep - step, untilLog, checkpoints?.stepsUntilDue(step) ?? Infinity);
  }

  /**
   * Runs `count` steps and takes them into account.
   *
   * @param order of the epoch's examples
   * @param from the first of them, counted from the epoch's start
   * @throws BertuneError NON_FINITE_LOSS, ABORTED, once the steps that were finished count
   */
  async #runSteps(order: Int32Array, from: number, count: number): Promise<void> {
    const { native, plan, dataset, loss } = this.#parts;
    const { settings } = plan;
    const perStep = settings.batchSize * settings.gradientAccumulation;
    const began = performance.now();
    const result = await native.train({
      dataset,
      order: order.slice(from * perStep, (from + count) * perStep),
      batchSize: settings.batchSize,
      accumulation: settings.gradientAccumulation,
      learningRates: Float64Array.from({ length: count }, (_, i) => plan.learningRate(this.#position.step + i)),
      firstStep: this.#position.step,
      seed: settings.seed,
      weightDecay: settings.weightDecay,
      beta1: settings.adamBeta1,
      beta2: settings.adamBeta2,
      eps: settings.adamEps,
      maxGradNorm: settings.maxGradNorm,
      labelSmoothing: loss.labelSmoothing,
      ...(loss.classWeights && { classWeights: Float64Array.from(loss.classWeights) }),
      ...(loss.positiveWeights && { positiveWeights: Float64Array.from(loss.positiveWeights) }),
    });
    const seconds = (performance.now() - began) / 1000;
    this.#pace.measured(Math.max(1, result.steps), seconds);
    this.#position.step_seconds += seconds;
    if (result.steps > 0) this.#count(result, from);
    if (result.stopped === 'non-finite') throw this.#notFinite(result);
    if (result.stopped === 'aborted') throw new BertuneError('ABORTED', 'Training was stopped');
  }

  /** Takes the finished steps of a call into account. */
  #count({ losses, gradNorms, steps, correct, examples }: NativeTrainResult, from: number): void {
    const { plan, state } = this.#parts;
    const { settings } = plan;
    const position = this.#position;
    // Loss by loss: sums must not depend on how many steps a call happened to have.
    for (const loss of losses.subarray(0, steps)) {
      position.loss_sum += loss;
      position.unlogged.loss += loss;
      position.epoch_totals.loss += loss;
    }
    for (const totals of [position.unlogged, position.epoch_totals]) {
      totals.steps += steps;
      totals.correct += correct;
      totals.examples += examples;
    }
    position.step += steps;
    position.examples += examples;
    position.last_grad_norm = gradNorms[steps - 1]!;
    const loss = losses.subarray(0, steps).reduce((sum, value) => sum + value, 0);
    this.#recent.add({ steps, correct, examples, loss });
    state.global_step = position.step;
    const batches = Math.min((from + steps) * settings.gradientAccumulation, plan.batchesPerEpoch);
    state.epoch = Math.floor((position.step - 1) / plan.stepsPerEpoch) + batches / plan.batchesPerEpoch;
    if (settings.loggingSteps !== 'epoch' && position.step % settings.loggingSteps === 0) this.#log();
  }

  #notFinite({ losses, gradNorms, steps }: NativeTrainResult): BertuneError {
    const { learningRate } = this.#parts.plan;
    const { step } = this.#position;
    const kept = step === 0 ? 'unchanged' : `those of step ${step}`;
    return new BertuneError(
      'NON_FINITE_LOSS',
      `Expected a finite loss but at step ${step + 1} it was ${losses[steps]}, with a gradient norm of ` +
        `${gradNorms[steps]} and a learning rate of ${learningRate(step)}; the parameters are ${kept}. ` +
        `Train again with a lower ${option('learningRate')}`,
    );
  }

  #log(): void {
    const { state, plan, events } = this.#parts;
    const { step, unlogged, last_grad_norm } = this.#position;
    if (unlogged.steps === 0) return;
    const row = {
      loss: unlogged.loss / unlogged.steps,
      grad_norm: last_grad_norm,
      learning_rate: plan.learningRate(step - 1),
      epoch: state.epoch,
      step,
    };
    this.#position.unlogged = emptyTotals();
    state.log_history.push(row satisfies LogHistoryRow);
    events.emit('log', row);
  }

  #showProgress(): void {
    const { plan, state, events, validation } = this.#parts;
    const { step, examples, step_seconds, last_grad_norm } = this.#position;
    const stepsLeft = plan.totalSteps - step;
    const evaluationsLeft = validation ? plan.epochs - Math.floor(state.epoch) : 0;
    events.emit('progress', {
      step,
      totalSteps: plan.totalSteps,
      epoch: state.epoch,
      epochs: plan.epochs,
      loss: this.#recent.loss,
      accuracy: this.#recent.accuracy,
      gradNorm: last_grad_norm,
      learningRate: plan.learningRate(step - 1),
      stepsPerSecond: step / step_seconds,
      samplesPerSecond: examples / step_seconds,
      secondsLeft: (stepsLeft * step_seconds) / step + evaluationsLeft * this.#evaluationSeconds,
    });
  }

  async #evaluate(): Promise<EvaluateResult | null> {
    const { native, validation, thresholds, loss, signal, state, best, plan, events, trainable } = this.#parts;
    const { metricForBest } = plan.settings;
    const { step } = this.#position;
    if (!validation) return null;
    this.#expectGoing();
    const result = await evaluateSplit(native, validation, thresholds, loss, signal);
    this.#evaluationSeconds = result.runtime;
    const row = evaluateRow(result, state.epoch, step);
    state.log_history.push(row);
    const at = { step, epoch: state.epoch };
    const metric = result[metricForBest] ?? Number.NaN;
    const isBest = await best?.consider(metric, at, native, trainable);
    if (isBest || !best?.keeps) this.#evaluation = result;
    if (isBest) {
      state.best_metric = metric;
      state.best_global_step = step;
    }
    events.emit('evaluate', row, result);
    return result;
  }

  async #save(): Promise<void> {
    const { checkpoints, state, events, best } = this.#parts;
    if (!checkpoints) return;
    const position = this.#position;
    position.seconds = (performance.now() - this.#began) / 1000;
    const directory = await checkpoints.save({ state, position, best }).catch((cause: unknown) => {
      if (!(cause instanceof BertuneError) || cause.code !== 'OUTPUT_REFUSED') throw cause;
      const kept = `The model in memory is that of step ${position.step}: save it elsewhere`;
      throw new BertuneError(cause.code, `${cause.message}. ${kept}`, { cause });
    });
    events.emit('save', { directory, step: position.step, epoch: state.epoch });
  }

  /** A checkpoint of where the run was stopped, unless there is one. */
  async #saveStopped(): Promise<void> {
    const { checkpoints } = this.#parts;
    const { step } = this.#position;
    if (checkpoints && step > 0 && checkpoints.lastSaved !== step) await this.#save();
  }

  /** The last row; rates are of what was done. */
  #summary(): TrainSummaryRow {
    const { state } = this.#parts;
    const { examples, step, loss_sum } = this.#position;
    const runtime = (performance.now() - this.#began) / 1000;
    return {
      train_runtime: roundTo(runtime, 4),
      train_samples_per_second: roundTo(examples / runtime, 3),
      train_steps_per_second: roundTo(step / runtime, 3),
      train_loss: loss_sum / step,
      epoch: state.epoch,
      step,
    };
  }
}

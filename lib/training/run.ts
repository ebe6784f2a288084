import type { EventEmitter } from 'node:events';
import { BertuneError } from '../errors.js';
import { Pace } from '../model/pace.js';
import type { NativeSession, NativeTrainResult } from '../native.js';
import { throwIfAborted } from '../time-slice.js';
import type { BestModel } from './best-model.js';
import { evaluateRow, evaluateSplit, type LoadedSplit, type LossOptions, roundTo } from './evaluation.js';
import type { EpochSummary, EvaluateResult, LogHistoryRow, TrainerEvents, TrainSummaryRow } from './events.js';
import type { TrainerSettings } from './options.js';
import type { RunPlan } from './plan.js';
import { RecentSteps, type StepTotals } from './recent-steps.js';
import type { TrainerState } from './state.js';

/** Seconds of work a call of the addon. */
const CALL_SECONDS = 0.15;

/** Steps that the loss and accuracy of 'progress' look back over. */
const RECENT_STEPS = 50;

/** What a run needs. */
export interface RunParts {
  native: NativeSession;
  settings: TrainerSettings;
  plan: RunPlan;
  /** Handle of the training texts in the session. */
  dataset: number;
  /** null: nothing is evaluated. */
  validation: LoadedSplit | null;
  labels: readonly string[];
  loss: LossOptions;
  /** Names of the parameters that train. */
  trainable: readonly string[];
  /** null: no best epoch is looked for. */
  best: BestModel | null;
  /** Kept up to date as the run goes on. */
  state: TrainerState;
  signal: AbortSignal | undefined;
  /** @throws BertuneError DISPOSED once the model is disposed */
  expectUsable: () => void;
  events: EventEmitter<TrainerEvents>;
}

/** What a run came to. */
export interface RunOutcome {
  stopped: 'done' | 'early';
  summary: TrainSummaryRow;
}

/**
 * One run over the epochs: gives the addon steps in calls that end where something is to be logged, evaluated or shown.
 * What is logged, and when, follows Hugging Face's Trainer.
 */
export class TrainingRun {
  readonly #parts: RunParts;
  readonly #pace = new Pace(CALL_SECONDS);
  readonly #recent = new RecentSteps(RECENT_STEPS);
  /** Optimiser steps done. */
  #step = 0;
  /** Examples of the steps done. */
  #examples = 0;
  /** Of the steps since the last row of the log, and of all. */
  #unlogged: StepTotals = emptyTotals();
  #lossSum = 0;
  #lastGradNorm = Number.NaN;
  /** Seconds in steps, and of the last evaluation. */
  #stepSeconds = 0;
  #evaluationSeconds = 0;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /**
   * Trains until done. On failure the parameters are those of the last finished step.
   *
   * @throws BertuneError NON_FINITE_LOSS, ABORTED, DISPOSED; whatever a listener throws
   */
  async run(): Promise<RunOutcome> {
    const { plan, best, native } = this.#parts;
    const began = performance.now();
    let stopped: RunOutcome['stopped'] = 'done';
    for (let epoch = 0; epoch < plan.epochs && stopped === 'done'; epoch++) {
      await this.#runEpoch(epoch);
      if (best?.exhausted && this.#step < plan.totalSteps) stopped = 'early';
    }
    const summary = this.#summary((performance.now() - began) / 1000);
    this.#parts.state.log_history.push(summary);
    await best?.restore(native);
    return { stopped, summary };
  }

  async #runEpoch(epoch: number): Promise<void> {
    const { plan, settings, events } = this.#parts;
    const order = plan.orderOf(epoch);
    const firstStep = epoch * plan.stepsPerEpoch;
    const lastStep = Math.min(plan.totalSteps, firstStep + plan.stepsPerEpoch);
    const totals = emptyTotals();
    while (this.#step < lastStep) {
      this.#checkpoint();
      const part = await this.#runSteps(order, this.#step - firstStep, this.#callSteps(lastStep));
      addTotals(totals, part);
      if (settings.loggingSteps !== 'epoch' && this.#step % settings.loggingSteps === 0) this.#log();
      this.#showProgress();
    }
    if (settings.loggingSteps === 'epoch') this.#log();
    const evaluation = await this.#evaluate();
    const summary: EpochSummary = {
      epoch: this.#parts.state.epoch,
      epochs: plan.epochs,
      step: this.#step,
      trainLoss: totals.loss / totals.steps,
      trainAccuracy: totals.correct / totals.examples,
      evaluation,
    };
    events.emit('epoch', summary);
  }

  /** Looks whether to go on. */
  #checkpoint(): void {
    throwIfAborted(this.#parts.signal);
    this.#parts.expectUsable();
  }

  /** Steps of the next call: up to the epoch's end or the next row of the log. */
  #callSteps(lastStep: number): number {
    const { loggingSteps } = this.#parts.settings;
    const untilLog = loggingSteps === 'epoch' ? Infinity : loggingSteps - (this.#step % loggingSteps);
    return Math.min(this.#pace.next(), lastStep - this.#step, untilLog);
  }

  /**
   * Runs `count` steps.
   *
   * @param order of the epoch's examples
   * @param from the first of them, counted from the epoch's start
   */
  async #runSteps(order: Int32Array, from: number, count: number): Promise<StepTotals> {
    const { native, settings, plan, dataset, loss, state } = this.#parts;
    const perStep = settings.batchSize * settings.gradientAccumulation;
    const began = performance.now();
    const result = await native.train({
      dataset,
      order: order.slice(from * perStep, (from + count) * perStep),
      batchSize: settings.batchSize,
      accumulation: settings.gradientAccumulation,
      learningRates: Float64Array.from({ length: count }, (_, i) => plan.learningRate(this.#step + i)),
      firstStep: this.#step,
      seed: settings.seed,
      weightDecay: settings.weightDecay,
      beta1: settings.adamBeta1,
      beta2: settings.adamBeta2,
      eps: settings.adamEps,
      maxGradNorm: settings.maxGradNorm,
      labelSmoothing: loss.labelSmoothing,
      ...(loss.classWeights && { classWeights: Float64Array.from(loss.classWeights) }),
    });
    const seconds = (performance.now() - began) / 1000;
    this.#pace.measured(Math.max(1, result.steps), seconds);
    this.#stepSeconds += seconds;

    const { steps, correct, examples } = result;
    const totals = { steps, correct, examples, loss: result.losses.subarray(0, steps).reduce((a, b) => a + b, 0) };
    this.#step += steps;
    this.#examples += examples;
    this.#lossSum += totals.loss;
    if (steps > 0) {
      this.#lastGradNorm = result.gradNorms[steps - 1]!;
      this.#recent.add(totals);
      addTotals(this.#unlogged, totals);
      state.global_step = this.#step;
      const batches = Math.min((from + steps) * settings.gradientAccumulation, plan.batchesPerEpoch);
      state.epoch = Math.floor((this.#step - 1) / plan.stepsPerEpoch) + batches / plan.batchesPerEpoch;
    }
    if (result.stopped === 'non-finite') throw this.#notFinite(result);
    if (result.stopped === 'aborted') throw new BertuneError('ABORTED', 'Training was stopped');
    return totals;
  }

  #notFinite({ losses, gradNorms, steps }: NativeTrainResult): BertuneError {
    const { learningRate } = this.#parts.plan;
    const kept = this.#step === 0 ? 'unchanged' : `those of step ${this.#step}`;
    return new BertuneError(
      'NON_FINITE_LOSS',
      `Expected a finite loss but at step ${this.#step + 1} it was ${losses[steps]}, with a gradient norm of ` +
        `${gradNorms[steps]} and a learning rate of ${learningRate(this.#step)}; the parameters are ${kept}`,
    );
  }

  #log(): void {
    const { state, plan, events } = this.#parts;
    if (this.#unlogged.steps === 0) return;
    const row = {
      loss: this.#unlogged.loss / this.#unlogged.steps,
      grad_norm: this.#lastGradNorm,
      learning_rate: plan.learningRate(this.#step - 1),
      epoch: state.epoch,
      step: this.#step,
    };
    this.#unlogged = emptyTotals();
    state.log_history.push(row satisfies LogHistoryRow);
    events.emit('log', row);
  }

  #showProgress(): void {
    const { plan, state, events, validation } = this.#parts;
    const stepsLeft = plan.totalSteps - this.#step;
    const evaluationsLeft = validation ? plan.epochs - Math.floor(state.epoch) : 0;
    events.emit('progress', {
      step: this.#step,
      totalSteps: plan.totalSteps,
      epoch: state.epoch,
      epochs: plan.epochs,
      loss: this.#recent.loss,
      accuracy: this.#recent.accuracy,
      gradNorm: this.#lastGradNorm,
      learningRate: plan.learningRate(this.#step - 1),
      stepsPerSecond: this.#step / this.#stepSeconds,
      samplesPerSecond: this.#examples / this.#stepSeconds,
      secondsLeft: (stepsLeft * this.#stepSeconds) / this.#step + evaluationsLeft * this.#evaluationSeconds,
    });
  }

  async #evaluate(): Promise<EvaluateResult | null> {
    const { native, validation, labels, loss, signal, state, best, settings, events, trainable } = this.#parts;
    if (!validation) return null;
    this.#checkpoint();
    const result = await evaluateSplit(native, validation, labels, loss, signal);
    this.#evaluationSeconds = result.runtime;
    const row = evaluateRow(result, state.epoch, this.#step);
    state.log_history.push(row);
    const at = { step: this.#step, epoch: state.epoch };
    if (await best?.consider(result[settings.metricForBest], at, native, trainable)) {
      state.best_metric = result[settings.metricForBest];
      state.best_global_step = this.#step;
    }
    events.emit('evaluate', row, result);
    return result;
  }

  /** The last row; rates are of what was done. */
  #summary(runtime: number): TrainSummaryRow {
    const { state } = this.#parts;
    return {
      train_runtime: roundTo(runtime, 4),
      train_samples_per_second: roundTo(this.#examples / runtime, 3),
      train_steps_per_second: roundTo(this.#step / runtime, 3),
      train_loss: this.#lossSum / this.#step,
      epoch: state.epoch,
      step: this.#step,
    };
  }
}

function emptyTotals(): StepTotals {
  return { steps: 0, loss: 0, correct: 0, examples: 0 };
}

function addTotals(to: StepTotals, part: StepTotals): void {
  to.steps += part.steps;
  to.loss += part.loss;
  to.correct += part.correct;
  to.examples += part.examples;
}

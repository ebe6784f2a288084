import type { EventEmitter } from 'node:events';
import type { RankGroup } from '../distributed/group.js';
import { BertuneError } from '../errors.js';
import { Pace } from '../model/batches.js';
import { evaluateSplit, type LoadedSplit } from '../model/evaluation.js';
import type { NativeSession, NativeTrainResult } from '../native/index.js';
import { option } from '../options/names.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import type { BestMetric, LossOptions } from '../tasks/index.js';
import type { Decision } from '../tasks/prediction.js';
import { throwIfAborted } from '../time-slice.js';
import type { BestModel } from './best-model.js';
import type { CheckpointSaver } from './checkpoint/saver.js';
import type { EpochSummary, TrainerEvents } from './events.js';
import { labelMetric } from './options.js';
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
  /** Micro-batches whose features are made in one pass: see lookAheadOf. */
  lookAhead: number;
  /** null: nothing is evaluated. */
  validation: LoadedSplit | null;
  /** In evaluations. */
  decision: Decision;
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
  /** null: this process trains alone. */
  group: RankGroup | null;
  /** Asked after each epoch whether it was the last. */
  stopWhen: ((epoch: EpochSummary) => boolean | Promise<boolean>) | undefined;
  /** @throws BertuneError DISPOSED once the model is disposed */
  expectUsable: () => void;
  events: EventEmitter<TrainerEvents>;
}

/** What the best epoch is told by; NaN where it is not defined. */
function bestMetricOf(result: EvaluateResult, metric: BestMetric, label: string | null): number {
  if (label === null || !('perClass' in result.metrics)) return result[metric] ?? Number.NaN;
  const own = result.metrics.perClass.find((each) => each.label === label);
  return own?.[labelMetric(metric)!] ?? Number.NaN;
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
      if (cause instanceof BertuneError && cause.code === 'RANK_LOST') throw this.#rankLost(cause);
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

  /** An epoch, or what is left of it. One that early stopping ends half-way counts as none. */
  async #runEpoch(epoch: number): Promise<EpochSummary | undefined> {
    const { plan, events, checkpoints, best } = this.#parts;
    const position = this.#position;
    const order = plan.orderOf(epoch);
    const firstStep = epoch * plan.stepsPerEpoch;
    const lastStep = Math.min(plan.totalSteps, firstStep + plan.stepsPerEpoch);
    // A run that was stopped before the evaluation of its last step makes up for it.
    if (position.step > firstStep && position.step < lastStep && this.#isEvaluationDue() && !this.#isEvaluated()) {
      await this.#evaluate();
    }
    while (position.step < lastStep) {
      const steps = await this.#agreed(this.#callSteps(lastStep));
      await this.#runSteps(order, position.step - firstStep, steps);
      this.#showProgress();
      // At the epoch's end the evaluation comes first.
      if (position.step === lastStep) break;
      if (this.#isEvaluationDue()) await this.#evaluate();
      if (checkpoints?.isDue(position.step, { isBest: this.#isBest() })) await this.#save();
      if (best?.exhausted) return undefined;
    }
    if (plan.settings.loggingSteps === 'epoch') this.#log();
    const evaluation = this.#isEvaluationDue({ epochEnd: true }) ? await this.#evaluate() : null;
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
    if (checkpoints?.isDue(position.step, { epochEnd: true, isBest: this.#isBest() })) await this.#save();
    return summary;
  }

  /** Whether to evaluate after the step that was done last. */
  #isEvaluationDue({ epochEnd = false } = {}): boolean {
    const { plan } = this.#parts;
    const { evaluationStrategy, evalSteps } = plan.settings;
    const { step } = this.#position;
    if (evaluationStrategy !== 'steps') return epochEnd;
    return step % evalSteps === 0 || step === plan.totalSteps;
  }

  /** Whether what was done last was evaluated. */
  #isEvaluated(): boolean {
    return this.#parts.state.log_history.some((row) => 'eval_loss' in row && row.step === this.#position.step);
  }

  /** Whether the step that was done last is the best so far. */
  #isBest(): boolean {
    return this.#parts.state.best_global_step === this.#position.step;
  }

  /**
   * Looks whether to go on.
   *
   * @param steps that this rank would run next
   * @returns those that all run
   * @throws BertuneError ABORTED where any of them is asked to stop, DISPOSED, RANK_LOST
   */
  async #agreed(steps = 0): Promise<number> {
    const { group, signal, expectUsable } = this.#parts;
    expectUsable();
    if (group === null) {
      throwIfAborted(signal);
      return steps;
    }
    const agreed = await group.agree(signal?.aborted ?? false, steps);
    if (!agreed.stop) return agreed.steps;
    throwIfAborted(signal);
    throw new BertuneError('ABORTED', 'Another process of the run was stopped');
  }

  /** Steps of the next call: up to the epoch's end, the next row of the log, the next evaluation or checkpoint. */
  #callSteps(lastStep: number): number {
    const { plan, checkpoints } = this.#parts;
    const { loggingSteps, evaluationStrategy, evalSteps } = plan.settings;
    const { step } = this.#position;
    const untilLog = loggingSteps === 'epoch' ? Infinity : loggingSteps - (step % loggingSteps);
    const untilEvaluation = evaluationStrategy === 'steps' ? evalSteps - (step % evalSteps) : Infinity;
    const untilSave = checkpoints?.stepsUntilDue(step) ?? Infinity;
    // Steps whose features are made together are of one call.
    const together = Math.max(1, this.#parts.lookAhead / plan.settings.gradientAccumulation);
    const paced = Math.ceil(this.#pace.next() / together) * together;
    return Math.min(paced, lastStep - step, untilLog, untilEvaluation, untilSave);
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
      lookAhead: this.#parts.lookAhead,
      gradientCheckpointing: settings.gradientCheckpointing,
      learningRates: Float64Array.from({ length: count }, (_, i) => plan.learningRate(this.#position.step + i)),
      firstStep: this.#position.step,
      seed: settings.seed,
      weightDecay: settings.weightDecay,
      beta1: settings.adamBeta1,
      beta2: settings.adamBeta2,
      eps: settings.adamEps,
      maxGradNorm: settings.maxGradNorm,
      labelSmoothing: loss.labelSmoothing,
      focalGamma: loss.focalGamma,
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

  #rankLost(cause: BertuneError): BertuneError {
    const saved = this.#parts.checkpoints?.lastSaved ?? null;
    const kept =
      saved === null ? '' : `; the last checkpoint is that of step ${saved}: start again with ${option('resume')}`;
    const message = `${cause.message}, at step ${this.#position.step + 1} or soon after${kept}`;
    return new BertuneError('RANK_LOST', message, { cause });
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
    const { evaluationStrategy, evalSteps } = plan.settings;
    const planned = evaluationStrategy === 'steps' ? stepsLeft / evalSteps : plan.epochs - Math.floor(state.epoch);
    const evaluationsLeft = validation ? Math.ceil(planned) : 0;
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
    const { native, validation, decision, loss, signal, state, best, plan, events, trainable, group } = this.#parts;
    const { metricForBest, labelForBest } = plan.settings;
    const { step } = this.#position;
    if (!validation) return null;
    await this.#agreed();
    const result = await evaluateSplit(native, validation, decision, loss, signal, group);
    this.#evaluationSeconds = result.runtime;
    const row = evaluateRow(result, state.epoch, step);
    state.log_history.push(row);
    const at = { step, epoch: state.epoch };
    const metric = bestMetricOf(result, metricForBest, labelForBest);
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

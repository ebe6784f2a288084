import { EventEmitter } from 'node:events';
import type { Split } from '../data/dataset.js';
import { type AlignedSplit, labelCounts } from '../data/split.js';
import type { RankGroup } from '../distributed/group.js';
import { findRanks, type Ranks } from '../distributed/ranks.js';
import { BertuneError } from '../errors.js';
import { type DirectoryLock, withDirectoryLock } from '../files/lock.js';
import { removeLeftovers, withOutputDirectory } from '../files/output.js';
import { countPlan, definitionOf, type ParameterCounts, trainedNames } from '../methods/index.js';
import { longestFirst, packBatches } from '../model/batches.js';
import {
  type AnyClassifier,
  type EvaluateOptions,
  expectClassifier,
  type TextClassifier,
} from '../model/classifier.js';
import {
  type Calibration,
  evaluateModel,
  evaluateSplit,
  expectTaskSplit,
  expectTrainable,
  fitDecision,
  type LoadedSplit,
} from '../model/evaluation.js';
import { planFor, retarget } from '../model/retarget.js';
import { datasetOf, memoryReport, type Session } from '../model/session.js';
import { encodeTexts, expectTextKind, longTextsOf, textWay } from '../model/texts.js';
import { windowLabels } from '../model/windows.js';
import type { NativeSession } from '../native/index.js';
import { option } from '../options/names.js';
import {
  expectAbortSignal,
  expectFunction,
  expectObject,
  expectPath,
  expectPositiveInteger,
} from '../options/validation.js';
import { expectMetrics, type MetricFunctions } from '../tasks/custom-metrics.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import type { DefaultTask, LossOptions, TaskKind } from '../tasks/index.js';
import { decisionOf } from '../tasks/prediction.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import { adviceText, advise } from '../training/advice.js';
import { BestModel } from '../training/best-model.js';
import { expectNoCheckpoints, findCheckpoint } from '../training/checkpoint/directories.js';
import { placeRun } from '../training/checkpoint/resume.js';
import type { EpochSummary, Resumption, TrainerEvents, TrainingPlan, TrainResult } from '../training/events.js';
import { fitClassifier } from '../training/fit/classifier.js';
import { concludeFit } from '../training/fit/run.js';
import { asGroup, expectShared, joinGroup } from '../training/group.js';
import { lookAheadOf } from '../training/look-ahead.js';
import { reserveTraining } from '../training/memory.js';
import {
  needingEvaluations,
  optionsOf,
  resolveTrainerOptions,
  type TrainerOptions,
  type TrainerSettings,
} from '../training/options.js';
import { guessingLoss, lossOptions, planRun, type RunPlan, samplingWeights } from '../training/plan.js';
import { type RunPosition, startPosition } from '../training/position.js';
import { withLayerwiseDecay } from '../training/rates.js';
import { TrainingRun } from '../training/run.js';
import { expectRoom } from '../training/space.js';
import { createTrainerState, type TrainerState } from '../training/state.js';

/** Options of `Trainer.train`. */
export interface TrainOptions {
  /** Evaluated after each epoch, or as `evaluationStrategy` says. Defaults to none. */
  validation?: Split | undefined;
  /** Metrics of your own on the validation split, by name: the log has them as `eval_NAME`, evaluations under `custom`. Defaults to none. */
  metrics?: MetricFunctions | undefined;
  /**
   * Stops training after the current step; with an `outputDirectory`, a
   * checkpoint of that step is saved first. Defaults to none.
   */
  signal?: AbortSignal | undefined;
  /**
   * Continues from a checkpoint of the same run, and ends exactly as if it had never stopped, to the last bit. `'latest'` is the
   * newest complete one in `outputDirectory` (if there is none yet, the run starts from the beginning); otherwise this is the
   * directory of a checkpoint, or of checkpoints. More `epochs` or `maxSteps` extend a run, even a finished one:
   * its learning rate then follows the longer schedule. Defaults to none: the run starts from the beginning.
   */
  resume?: string | undefined;
  /**
   * Called after each epoch but the last, with its evaluation and checkpoint done; returns whether to end the run, as early
   * stopping does. Defaults to never.
   */
  stopWhen?: ((epoch: EpochSummary) => boolean | Promise<boolean>) | undefined;
}

/** What `Trainer.train` is given, checked. */
interface TrainingTask {
  train: AlignedSplit;
  validation: AlignedSplit | null;
  metrics: MetricFunctions | undefined;
  signal: AbortSignal | undefined;
  resume: string | undefined;
  /** null: this process trains alone. */
  ranks: Ranks | null;
  stopWhen: TrainOptions['stopWhen'];
}

/**
 * Trains a TextClassifier in place and measures it. Steps, schedule, order of examples and log match Hugging
 * Face's Trainer: the same run there logs the same numbers.
 *
 * Events: 'start', 'log', 'progress', 'evaluate', 'epoch', 'save'; see TrainerEvents. An error thrown by a listener ends the run.
 */
export class Trainer<Kind extends TaskKind = DefaultTask> extends EventEmitter<TrainerEvents> {
  readonly #model: AnyClassifier;
  readonly #given: TrainerSettings;
  #settings: TrainerSettings;
  #state: TrainerState | null = null;
  /** Of the last run. */
  #loss: LossOptions;

  /**
   * @param model the model to train; it remains usable for predictions meanwhile
   * @param options see TrainerOptions
   * @throws BertuneError INVALID_OPTION, also for a model of one class
   */
  constructor(model: TextClassifier<Kind>, options: TrainerOptions = {}) {
    super();
    this.#model = expectClassifier('model', model);
    const { labels, task, method, config } = this.#model;
    expectTrainable(task, labels);
    if (this.#model.precision === 'int8') {
      throw new BertuneError(
        'INVALID_OPTION',
        `A model in int8 predicts and does not train; load it with ${option('precision', 'fp32')}`,
      );
    }
    const adapter = method !== null && definitionOf(method.kind).adapter !== null ? method : null;
    const settings = resolveTrainerOptions(options, { labels, task, method: adapter, hiddenSize: config.hiddenSize });
    this.#given = settings;
    this.#settings = settings;
    this.#loss = lossOptions(settings, null);
    textWay(this.#model, this.#model.longTexts, settings, planFor(this.#model, settings.method));
  }

  /**
   * The options with every default filled in. Those that depend on the number of examples (`epochs`, `warmupSteps`,
   * `loggingSteps`) are those of the current or latest run, and open before the first.
   */
  get settings(): TrainerSettings {
    return this.#settings;
  }

  /** The contents of trainer_state.json for the current or latest run; null before the first. */
  get state(): TrainerState | null {
    return this.#state;
  }

  /**
   * Trains the model: from its present parameters, with fresh moments and schedule. When it fails or is stopped, the
   * model has the parameters of the last finished step and stays usable.
   *
   * The labels of splits are matched with the model's by name, whatever the order of either.
   *
   * @param train the training split
   * @throws BertuneError INVALID_DATA, also for labels that the model does not have; INVALID_OPTION, also for a checkpoint of another run; NOT_FOUND, CHECKPOINT_INVALID
   *   for one that is missing or damaged; OUTPUT_REFUSED where a checkpoint cannot be saved, there is no room for model and checkpoints
   *   (found before the first step), or someone else writes to `outputDirectory`; NON_FINITE_LOSS naming the step; NON_FINITE_LOGITS in an evaluation; ABORTED with the signal's
   *   reason as its cause; DISPOSED; OUT_OF_MEMORY
   */
  async train(train: Split, options: TrainOptions = {}): Promise<TrainResult<Kind>> {
    const given = expectObject('options', options, ['validation', 'metrics', 'signal', 'resume', 'stopWhen']);
    const metrics = expectMetrics(given.metrics);
    const signal = given.signal === undefined ? undefined : expectAbortSignal('signal', given.signal);
    const resume = given.resume === undefined ? undefined : expectPath('resume', given.resume);
    if (given.stopWhen !== undefined) expectFunction('stopWhen', given.stopWhen);
    const { stopWhen } = given;
    const split = this.#expectSplit('train', train);
    const validation = this.#expectValidation(given.validation);
    if (validation) expectSameKind(split.split, validation.split);
    const { outputDirectory, distributed } = this.settings;
    const ranks = distributed === 'auto' ? findRanks() : null;
    if (ranks !== null) expectShared(this.settings.method, ranks);
    return this.#model.exclusively(async () => {
      const task = { train: split, validation, metrics, signal, resume, stopWhen, ranks };
      if (outputDirectory === null || (ranks !== null && ranks.rank > 0)) return this.#train(task, null);
      return withOutputDirectory(outputDirectory, { overwrite: true }, () =>
        this.#locked(outputDirectory, async (lock) => {
          await lock.inTurn(() => removeLeftovers(outputDirectory));
          return this.#train(task, lock);
        }),
      );
    });
  }

  /** Work under the lock of a directory: the model's, where it is of that directory, otherwise one of its own. */
  async #locked<T>(directory: string, work: (lock: DirectoryLock) => Promise<T>): Promise<T> {
    const model = this.#model;
    const outer = model.outputLock;
    if (outer?.covers(directory)) return work(outer);
    return withDirectoryLock(directory, async (lock) => {
      model.outputLock = lock;
      try {
        return await work(lock);
      } finally {
        model.outputLock = outer;
      }
    });
  }

  /**
   * Measures the model as `TextClassifier.evaluate` does, with this trainer's `maxLength`, `evalBatchTokens` and loss.
   *
   * @param split one that is there: `data.test` may not be, and undefined is refused with the ways to have one
   * @throws BertuneError as TextClassifier.evaluate
   */
  async evaluate(
    split: Split | undefined,
    options: Pick<EvaluateOptions, 'signal' | 'textKind' | 'mistakes'> = {},
  ): Promise<EvaluateResult<Kind>> {
    const given = expectObject('options', options, ['signal', 'textKind', 'mistakes']);
    const signal = given.signal === undefined ? undefined : expectAbortSignal('signal', given.signal);
    const { evalBatchTokens: batchTokens } = this.settings;
    const textKind = expectTextKind(given.textKind);
    return evaluateModel(this.#model, split, {
      ...{ longTexts: this.#given, batchTokens, textKind, signal },
      ...{ adapter: null, threshold: null },
      mistakes: given.mistakes === undefined ? undefined : expectPositiveInteger('mistakes', given.mistakes),
      loss: this.#loss,
    }) as Promise<EvaluateResult<Kind>>;
  }

  /** @param lock of the output directory; null without one, and where another rank has it */
  async #train(
    { train: { split: train, notes }, validation, metrics, signal, resume, stopWhen, ranks }: TrainingTask,
    lock: DirectoryLock | null,
  ): Promise<TrainResult<Kind>> {
    const given = this.#given;
    const model = this.#model;
    // Before the work: what cannot be gone on from costs nothing.
    const { isFitted = false } = definitionOf(given.method.kind);
    const found = resume === undefined ? null : await findCheckpoint(resume, given.outputDirectory);
    if (found !== null && isFitted) throw nothingToResume(given, found.directory);
    if (found === null && given.outputDirectory !== null && lock !== null)
      await expectNoCheckpoints(given.outputDirectory);
    const methodPlan = withLayerwiseDecay(planFor(model, given.method), given.layerwiseDecay, model.config.layers);
    const way = textWay(model, model.longTexts, given, methodPlan, { isPair: train.pairs !== undefined });
    const { limit, pooling } = way;
    const encoded = await encodeTexts(model, train, limit, signal);
    const encodedValidation = validation && (await encodeTexts(model, validation.split, limit, signal));
    // Each window is an example, with its text's labels.
    const labels = windowLabels(train.labels, encoded.windows);
    const classCounts = [...labelCounts(train)];
    const isBalanced = given.sampling === 'balanced';
    const exampleCounts = [...labelCounts({ ...train, labels })];
    const weights = isBalanced ? samplingWeights(labels as Int32Array, exampleCounts) : null;
    const plan = await planRun(encoded.offsets, given, signal, weights);
    const { settings } = plan;
    this.#settings = settings;
    this.#loss = lossOptions(settings, { counts: exampleCounts, examples: plan.examples });
    const state = createTrainerState({ ...settings, maxSteps: plan.totalSteps, epochs: plan.epochs });
    this.#state = state;

    const counts = countPlan(methodPlan);
    const best = this.#bestModel(validation !== null);
    const allNotes = [...new Set([...notes, ...(validation?.notes ?? [])])];
    /** Where there is room for what the run saves. */
    const start = async (position: RunPosition, resumption: Resumption | null) => {
      const { outputDirectory } = settings;
      if (outputDirectory !== null && lock !== null)
        await expectRoom(outputDirectory, { model, methodPlan, settings, plan, position });
      this.emit('start', trainingPlan(plan, encoded, this.#loss, counts, allNotes, resumption));
    };
    const run = async (native: NativeSession, dataset: number, evaluated: LoadedSplit | null) => {
      const ahead = ranks ? 1 : lookAheadOf(methodPlan, model.where.device, settings.gradientAccumulation);
      const lookAhead = await reserveTraining(native, plan, ahead);
      if (evaluated) {
        const { tokens, sequences } = evaluated.batches;
        await native.reserve({ tokens, sequences, training: false });
      }
      const placed = {
        ...{ model, native, methodPlan, given, lock, plan, state, best },
        train: { encoded, labels },
        validation: evaluated && { encoded: evaluated.encoded, labels: evaluated.split.labels },
      };
      const { position, resumption, checkpoints } = await placeRun(placed, found);
      const group = ranks && (await joinGroup(ranks, placed, position));
      await start(position, resumption);
      const trainable = trainedNames(methodPlan);
      const expectUsable = () => model.expectUsable();
      const loss = this.#loss;
      const decision = decisionOf(model);
      const parts = { native, plan, dataset, lookAhead, validation: evaluated, decision, loss, trainable, best, state };
      const control = { position, checkpoints, signal, stopWhen, group, expectUsable, events: this };
      const training = new TrainingRun({ ...parts, ...control });
      return asGroup(group, async () => {
        const outcome = { ...(await training.run()), epochs: position.epochs };
        return { ...outcome, ...(await this.#decide(native, evaluated, outcome.evaluation, signal, group)) };
      });
    };
    const becomes = { pairs: train.pairs !== undefined, longTexts: longTextsOf(way) };
    /** With the validation split in the session. */
    const withValidation = <T>(session: Session, work: (evaluated: LoadedSplit | null) => Promise<T>): Promise<T> => {
      if (!validation || !encodedValidation) return work(null);
      return session.withDataset(datasetOf(encodedValidation), (handle) =>
        work({ ...this.#loaded(validation, encodedValidation, handle), pooling, metrics }),
      );
    };
    const inSteps = async () => {
      const session = await retarget(model, settings.method, methodPlan, settings.seed, becomes);
      return session.withDataset(datasetOf(encoded, labels), (dataset, native) =>
        withValidation(session, (evaluated) => run(native, dataset, evaluated)),
      );
    };
    const atOnce = async () => {
      const began = performance.now();
      await start(startPosition(), null);
      const parts = { plan: methodPlan, settings, encoded, labels, becomes, loss: this.#loss, signal };
      const fit = await fitClassifier(model, parts);
      this.#settings = Object.freeze({ ...settings, method: fit.method });
      const { session } = model;
      return session.use((native) =>
        withValidation(session, async (evaluated) => {
          const measured = { native, validation: evaluated, decision: decisionOf(model), loss: this.#loss };
          const told = { fit, examples: plan.examples, began, state, signal, events: this };
          const outcome = await concludeFit({ ...told, ...measured });
          return { ...outcome, ...(await this.#decide(native, evaluated, outcome.evaluation, signal, null)) };
        }),
      );
    };
    const outcome = await (isFitted ? atOnce() : inSteps());
    const { stopped, summary, evaluation, calibration, epochs } = outcome;
    const { learningRate, schedule, warmupSteps, batchSize, gradientAccumulation, weightDecay, seed } = settings;
    const told = { learningRate, schedule, warmupSteps, batchSize, gradientAccumulation, weightDecay, seed };
    model.keepTraining({
      facts: {
        settings: optionsOf(settings.method.kind, told),
        ...{ examples: plan.examples, steps: summary.step, epochs: summary.epoch },
      },
      measured: evaluation && { split: 'validation', result: evaluation },
    });
    const advice = advise({
      ...{ task: model.task, settings, hiddenSize: model.config.hiddenSize, labels: model.labels },
      ...{ counts: classCounts, guessing: guessingLoss(train, settings) },
      ...{
        usualSteps: plan.usualSteps,
        stopped,
        steps: summary.step,
        epochs,
        logHistory: state.log_history,
        evaluation,
      },
    });
    return {
      stopped,
      steps: summary.step,
      epochs: summary.epoch,
      trainLoss: summary.train_loss,
      runtime: summary.train_runtime,
      samplesPerSecond: summary.train_samples_per_second,
      stepsPerSecond: summary.train_steps_per_second,
      truncated: encoded.truncated,
      logHistory: state.log_history,
      state,
      memory: memoryReport(model.session),
      trainableParameters: counts.trainable,
      totalParameters: counts.total,
      best: best?.best ?? null,
      evaluation: evaluation as EvaluateResult<Kind> | null,
      calibration,
      classCounts,
      advice: advice.map((each) => adviceText(each)),
    };
  }

  /** Fits to the validation split what turns logits into decisions, where that is asked for, and measures the model with it. */
  async #decide(
    native: NativeSession,
    evaluated: LoadedSplit | null,
    evaluation: EvaluateResult | null,
    signal: AbortSignal | undefined,
    group: RankGroup | null,
  ): Promise<{ evaluation: EvaluateResult | null; calibration: Calibration | null }> {
    const { settings } = this;
    if (!evaluated || (!settings.tuneThresholds && !settings.calibrate)) return { evaluation, calibration: null };
    const { calibration, thresholds } = await fitDecision(native, evaluated, settings, signal, group);
    this.#model.keepDecision({ thresholds, temperature: calibration?.temperature ?? null });
    const decision = decisionOf(this.#model);
    return { evaluation: await evaluateSplit(native, evaluated, decision, this.#loss, signal, group), calibration };
  }

  /** A split whose labels are the model's, matched by name. @throws BertuneError INVALID_OPTION, INVALID_DATA */
  #expectSplit(name: string, split: Split | undefined): AlignedSplit {
    return expectTaskSplit(name, split, this.#model);
  }

  #expectValidation(validation: Split | undefined): AlignedSplit | null {
    const { evaluationStrategy } = this.settings;
    const name = needingEvaluations(this.settings);
    if (validation === undefined && name !== undefined) {
      throw new BertuneError(
        'INVALID_OPTION',
        `${name === 'saveStrategy' ? option(name, 'best') : option(name)} needs a validation split to evaluate on; add ${option('validation')}, or take one out of the ` +
          `training rows with ${option('split.validation', 0.1)}`,
      );
    }
    const split = validation === undefined ? null : this.#expectSplit('validation', validation);
    return evaluationStrategy === 'no' ? null : split;
  }

  #bestModel(evaluates: boolean): BestModel | null {
    const { loadBestModel, earlyStoppingPatience, earlyStoppingThreshold, metricForBest, saveStrategy } = this.settings;
    const isAsked = loadBestModel || earlyStoppingPatience !== null || saveStrategy === 'best';
    if (!evaluates || !isAsked) return null;
    return new BestModel({
      metric: metricForBest,
      keep: loadBestModel,
      patience: earlyStoppingPatience,
      threshold: earlyStoppingThreshold,
    });
  }

  #loaded(split: AlignedSplit, encoded: EncodedTexts, handle: number): Omit<LoadedSplit, 'pooling'> {
    const batches = packBatches(encoded.offsets, longestFirst(encoded.offsets), this.settings.evalBatchTokens);
    return { ...split, encoded, handle, batches };
  }
}

/** What is solved for at once leaves no checkpoint to go on from. */
function nothingToResume({ method }: TrainerSettings, directory: string): BertuneError {
  return new BertuneError(
    'INVALID_OPTION',
    `${option('method', method.kind)} is solved for at once, and ${directory} is of another run; leave out ${option('resume')}`,
  );
}

/** @throws BertuneError INVALID_DATA where one split is of pairs and the other of single texts */
function expectSameKind(train: Split, validation: Split): void {
  const [expected, found] = [train, validation].map(({ pairs }) => (pairs ? 'pairs of texts' : 'single texts'));
  if (expected === found) return;
  throw new BertuneError('INVALID_DATA', `Expected ${expected} in validation, as in train, but found ${found}`);
}

/** What listeners of 'start' are told. */
function trainingPlan(
  plan: RunPlan,
  encoded: EncodedTexts,
  { classWeights, positiveWeights }: LossOptions,
  counts: ParameterCounts,
  notes: readonly string[],
  resumed: Resumption | null,
): TrainingPlan {
  return {
    totalSteps: plan.totalSteps,
    stepsPerEpoch: plan.stepsPerEpoch,
    epochs: plan.epochs,
    warmupSteps: plan.warmupSteps,
    examples: plan.examples,
    tokens: encoded.ids.length,
    truncated: encoded.truncated,
    classWeights: classWeights && [...classWeights],
    positiveWeights: positiveWeights && [...positiveWeights],
    trainableParameters: counts.trainable,
    totalParameters: counts.total,
    notes,
    resumed,
  };
}

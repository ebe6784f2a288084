import { EventEmitter } from 'node:events';
import type { Split } from '../data/dataset.js';
import type { AlignedSplit } from '../data/split.js';
import { findRanks } from '../distributed/ranks.js';
import { BertuneError } from '../errors.js';
import { type DirectoryLock, withDirectoryLock } from '../files/lock.js';
import { removeLeftovers, withOutputDirectory } from '../files/output.js';
import { definitionOf, type Method } from '../methods/index.js';
import {
  type AnyClassifier,
  type EvaluateOptions,
  expectClassifier,
  type TextClassifier,
} from '../model/classifier.js';
import { evaluateModel, expectTaskSplit, expectTrainable } from '../model/evaluation.js';
import { planFor } from '../model/retarget.js';
import { expectTextKind, textWay } from '../model/texts.js';
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
import type { EpochSummary, TrainerEvents, TrainResult } from '../training/events.js';
import { trainAtOnce } from '../training/fit/run.js';
import { expectShared } from '../training/group.js';
import type { Lane } from '../training/lockstep.js';
import {
  needingEvaluations,
  resolveTrainerOptions,
  type TrainerOptions,
  type TrainerSettings,
} from '../training/options.js';
import { concludeRun } from '../training/outcome.js';
import { lossOptions } from '../training/plan.js';
import { prepareRun, type RunRequest } from '../training/prepare.js';
import type { TrainerState } from '../training/state.js';
import { trainInSteps } from '../training/steps.js';

/** Options of `Trainer.train`. */
export interface TrainOptions {
  /** Evaluated after each epoch, or as `evaluationStrategy` says. Defaults to none. */
  validation?: Split | undefined;
  /** Metrics of your own on the validation split, by name: `eval_NAME` in the log, under `custom` in evaluations. Defaults to none. */
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
   * Called after each epoch but the last, once it is evaluated and saved; returns whether to end the run, as early stopping
   * does. Defaults to never.
   */
  stopWhen?: ((epoch: EpochSummary) => boolean | Promise<boolean>) | undefined;
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
   * `loggingSteps`) come from the current or latest run, and are null before the first.
   */
  get settings(): TrainerSettings {
    return this.#settings;
  }

  /** The contents of trainer_state.json for the current or latest run; null before the first. */
  get state(): TrainerState | null {
    return this.#state;
  }

  /**
   * Trains the model from its present parameters, with fresh moments and schedule. If training fails or is stopped, the model
   * keeps the parameters of the last complete step and stays usable.
   *
   * Labels are matched with the model's by name, whatever their order.
   *
   * @param train the training split
   * @throws BertuneError INVALID_DATA, also for labels that the model does not have; INVALID_OPTION, also for a checkpoint of
   *   another run; NOT_FOUND, CHECKPOINT_INVALID for one that is missing or damaged; OUTPUT_REFUSED if a checkpoint cannot be
   *   saved, there is no room for model and checkpoints (found before the first step), or someone else writes to
   *   `outputDirectory`; NON_FINITE_LOSS naming the step; NON_FINITE_LOGITS in an evaluation; ABORTED with the signal's reason
   *   as its cause; DISPOSED; OUT_OF_MEMORY
   */
  async train(train: Split, options: TrainOptions = {}): Promise<TrainResult<Kind>> {
    return this.trainInLane(null, train, options);
  }

  /** @internal The same as one of several runs that train together; null: by itself. */
  async trainInLane(lane: Lane | null, train: Split, options: TrainOptions): Promise<TrainResult<Kind>> {
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
      const request = { train: split, validation, metrics, signal, resume, stopWhen, ranks, lock: null, events: this };
      if (outputDirectory === null || (ranks !== null && ranks.rank > 0)) return this.#train(request, lane);
      return withOutputDirectory(outputDirectory, { overwrite: true }, () =>
        this.#locked(outputDirectory, async (lock) => {
          await lock.inTurn(() => removeLeftovers(outputDirectory));
          return this.#train({ ...request, lock }, lane);
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
   * @param split the split to measure; undefined, as `data.test` can be, is refused with advice on how to get one
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

  async #train(request: RunRequest, lane: Lane | null): Promise<TrainResult<Kind>> {
    const run = await prepareRun(this.#model, this.#given, request);
    this.#settings = run.plan.settings;
    this.#loss = run.loss;
    this.#state = run.state;
    const { isFitted = false } = definitionOf(this.#given.method.kind);
    const keep = (method: Method) => {
      this.#settings = Object.freeze({ ...run.plan.settings, method });
    };
    const completed = await (isFitted && lane === null ? trainAtOnce(run, keep) : trainInSteps(run, lane));
    return concludeRun(run, completed) as TrainResult<Kind>;
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
        `${name === 'saveStrategy' ? option(name, 'best') : option(name)} needs a validation split to evaluate on; add ${option('validation')}, or hold one out of the ` +
          `training rows with ${option('split.validation', 0.1)}`,
      );
    }
    const split = validation === undefined ? null : this.#expectSplit('validation', validation);
    return evaluationStrategy === 'no' ? null : split;
  }
}

/** @throws BertuneError INVALID_DATA where one split is of pairs and the other of single texts */
function expectSameKind(train: Split, validation: Split): void {
  const [expected, found] = [train, validation].map(({ pairs }) => (pairs ? 'pairs of texts' : 'single texts'));
  if (expected === found) return;
  throw new BertuneError('INVALID_DATA', `Expected ${expected} in validation, as in train, but found ${found}`);
}

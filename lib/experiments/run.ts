import { Trainer, type TrainOptions } from '../api/trainer.js';
import { expectClasses, withoutQuotes } from '../data/quality.js';
import { type DatasetSummary, summarize } from '../data/summary.js';
import type { Split, TextDataset } from '../data/types.js';
import { BertuneError } from '../errors.js';
import type { Method } from '../methods/index.js';
import { type AnyClassifier, TextClassifier } from '../model/classifier.js';
import { NEW_CLASSIFIER } from '../model/load.js';
import { processPeakMemory } from '../model/session.js';
import type {
  DataRecord,
  EpochRecord,
  MemoryRecord,
  MethodRecord,
  MetricsRecord,
  MistakeRecord,
  RunRecord,
} from '../report/records.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { type TaskKind, taskOf } from '../tasks/index.js';
import type { Mistake } from '../tasks/mistakes.js';
import { adviceText, advise } from '../training/advice.js';
import { defaultSteps } from '../training/defaults.js';
import type { TrainResult } from '../training/events.js';
import type { Lane } from '../training/lockstep.js';
import { optionsOf } from '../training/options.js';
import { guessingLoss } from '../training/plan.js';
import { embeddedModelNotes } from './embedded-limits.js';
import type { Experiment } from './experiment.js';
import { expectSources } from './identity.js';
import { datasetFor, statedTask } from './task.js';

/** A run made ready: data, model and trainer. */
export class Run implements AsyncDisposable {
  readonly experiment: Experiment;
  readonly data: TextDataset;
  readonly model: AnyClassifier;
  readonly trainer: Trainer<TaskKind>;
  /** Bytes of the model alone. */
  readonly modelMemory: number;
  readonly #epochs: EpochRecord[] = [];
  /** Steps that a run on this data takes by default; known once it has started. */
  #usualSteps = 0;
  /** How many runs trained together, this one among them. */
  #together: number | undefined;

  private constructor(experiment: Experiment, data: TextDataset, model: AnyClassifier, trainer: Trainer<TaskKind>) {
    this.experiment = experiment;
    this.data = data;
    this.model = model;
    this.trainer = trainer;
    this.modelMemory = model.memory().parameters;
    trainer.on('start', ({ resumed, stepsPerEpoch, tokens, examples }) => {
      this.#epochs.push(...(resumed?.epochs ?? []));
      this.#usualSteps = defaultSteps(trainer.settings.method.kind, { stepsPerEpoch, meanTokens: tokens / examples });
    });
    trainer.on('epoch', ({ epoch, step, trainLoss, trainAccuracy }) => {
      this.#epochs.push({ epoch, step, train_loss: trainLoss, train_accuracy: trainAccuracy });
    });
  }

  /**
   * Loads the data and the model of an experiment. A trained classifier stays where it has all of the data's labels, or where
   * its file only numbers its rows and the caller names them; otherwise it is new, with the labels in the data's order.
   *
   * @throws BertuneError whatever is wrong with experiment, data or model
   */
  static async open(experiment: Experiment, signal?: AbortSignal): Promise<Run> {
    const stated = await statedTask(experiment, signal && { signal });
    const data = await datasetFor(experiment.data, { ...experiment.dataset, ...(signal && { signal }) }, stated);
    if (experiment.method !== null && data.train === undefined) {
      throw new BertuneError('NOT_FOUND', 'Expected a training split to train on but the data have none');
    }
    if (experiment.method !== null) expectClasses(data);
    const { adapter, base, options, where } = experiment;
    await expectSources(experiment, data, signal);
    const model = await TextClassifier.load(experiment.model, {
      labels: data.labels,
      task: data.task,
      // Labels that the data imply are in an order of their own.
      head: experiment.dataset.labels === undefined ? 'fit' : 'name',
      ...(adapter === undefined ? {} : { adapter }),
      ...(base === undefined ? {} : { base }),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
      ...where,
      ...(signal && { signal }),
    });
    try {
      const method = experiment.method ?? undefined;
      return new Run(experiment, data, model, new Trainer(model, { ...options, ...(method && { method }) }));
    } catch (cause) {
      await model.dispose();
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.model.dispose();
  }

  /** What is worth knowing about the model. That its classifier is new goes without saying: it is about to be trained. */
  get notes(): string[] {
    return this.model.notes.filter((note) => note !== NEW_CLASSIFIER);
  }

  /** Longest text or window in tokens, special ones included: as is wished, else as the model was trained, else what it takes. */
  get maxLength(): number {
    return this.trainer.settings.maxLength ?? this.model.longTexts?.length ?? this.model.maxLength;
  }

  /** Examples by split. */
  get splits(): Record<string, number> {
    return splitSizes(this.data);
  }

  /** What is in the data, with lengths as the model counts them, and what the model is not made for. */
  async summary(signal?: AbortSignal): Promise<DatasetSummary> {
    const { tokenizer } = this.model;
    const summary = await summarize(this.data, { tokenizer, maxLength: this.maxLength, signal });
    const { train } = this.data;
    const limits = train === undefined ? [] : await embeddedModelNotes(this.experiment.model, train, signal);
    return { ...summary, notes: [...summary.notes, ...limits] };
  }

  /** Trains on the training split, evaluating on the validation split where there is one. */
  async train(options: Omit<TrainOptions, 'validation'>, lane: Lane | null = null): Promise<TrainResult> {
    const { train, validation } = this.data;
    if (train === undefined) throw new BertuneError('INTERNAL', 'Expected a run with a training split');
    try {
      return await this.trainer.trainInLane(lane, train, { ...options, validation });
    } finally {
      if (lane && lane.size > 1) this.#together = lane.size;
    }
  }

  /** Evaluates on the test split, or the validation split where there is no other; on nothing where there is neither. */
  async measure(signal?: AbortSignal): Promise<{ test?: EvaluateResult; validation?: EvaluateResult }> {
    const { test, validation } = this.data;
    const split = test ?? validation;
    if (split === undefined) return {};
    const { mistakes } = this.experiment;
    const result = await this.trainer.evaluate(split, { ...(signal && { signal }), ...(mistakes && { mistakes }) });
    return test === undefined ? { validation: result } : { test: result };
  }

  /** What the run leaves behind. */
  record(outcome: {
    status: RunRecord['status'];
    error?: RunRecord['error'];
    stop?: RunRecord['stop'];
    trained?: TrainResult;
    test?: EvaluateResult;
    validation?: EvaluateResult;
  }): RunRecord {
    const { status, error, stop, trained, test, validation } = outcome;
    const { method } = this.experiment;
    const state = this.trainer.state;
    const { trainable, total } = this.model.countParameters();
    return {
      name: this.experiment.name,
      title: this.experiment.title,
      // With what was chosen on the way.
      method: methodRecord(method && this.trainer.settings.method),
      task: this.model.task,
      status,
      ...(error && { error }),
      ...(stop && { stop }),
      ...(this.#together && { together: this.#together }),
      settings: method === null ? {} : snakeCase(settingsOf(this.trainer.settings, this.model.labels)),
      parameters: { trainable: method === null ? 0 : trainable, total },
      memory: this.#memory(),
      ...(trained && this.#advice(trained, test ?? validation)),
      ...(trained ? trainedRecord(trained) : state && { steps: state.global_step, epochs: state.epoch }),
      ...(this.model.thresholds && { thresholds: this.model.thresholds }),
      ...(test && { test: metricsRecord(test, this.data.test) }),
      ...(validation && { validation: metricsRecord(validation, this.data.validation) }),
      epoch_history: this.#epochs,
      log_history: (state?.log_history ?? []).map((row) => ({ ...row })),
    };
  }

  /** Advice on what the run came to, which is the same for one that was stopped and resumed. */
  #advice(trained: TrainResult, measured: EvaluateResult | undefined): Pick<RunRecord, 'advice'> {
    const { stopped, steps, logHistory, classCounts } = trained;
    const advice = advise({
      ...{ task: this.model.task, settings: this.trainer.settings, hiddenSize: this.model.config.hiddenSize },
      ...{ labels: this.model.labels, guessing: guessingLoss(this.data.train!, this.trainer.settings) },
      ...{ counts: classCounts, stopped, steps, usualSteps: this.#usualSteps, epochs: this.#epochs, logHistory },
      evaluation: measured ?? null,
    });
    return advice.length === 0 ? {} : { advice: advice.map((each) => adviceText(each)) };
  }

  #memory(): MemoryRecord {
    const { peak, device } = this.model.memory();
    return { model: this.modelMemory, peak, process_peak: processPeakMemory(), device_peak: device };
  }
}

/** What went wrong, as results.json holds it. */
export function errorRecord(cause: unknown): NonNullable<RunRecord['error']> {
  if (cause instanceof BertuneError) return { code: cause.code, message: cause.message };
  return { code: 'INTERNAL', message: cause instanceof Error ? cause.message : String(cause) };
}

/** Examples by split. */
function splitSizes({ train, validation, test }: TextDataset): Record<string, number> {
  return Object.fromEntries(
    [train, validation, test].flatMap((split) => (split === undefined ? [] : [[split.name, split.texts.length]])),
  );
}

/** The record of a run that could not be opened, or whose process died. */
export function failedRun(experiment: Experiment, error: NonNullable<RunRecord['error']>): RunRecord {
  const { name, title, method } = experiment;
  return {
    name,
    title,
    method: methodRecord(method),
    status: 'failed',
    error,
    settings: {},
    epoch_history: [],
    log_history: [],
  };
}

/** Of a text: they tell which it is. */
const SHOWN_CHARACTERS = 500;

/** A text that a model is wrong about, as results.json holds it. */
function mistakeRecord({ row, ...mistake }: Mistake, { texts, pairs }: Split): MistakeRecord {
  const shown = (text: string) =>
    text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS - 1).toWellFormed()}…` : text;
  return { text: shown(texts[row]!), ...(pairs && { pair: shown(pairs[row]!) }), ...mistake };
}

/**
 * An evaluation as results.json holds it.
 *
 * @param split what was evaluated, for the texts of its mistakes. Defaults to one whose texts are left out
 */
export function metricsRecord(result: EvaluateResult, split?: Split): MetricsRecord {
  const { examples, loss, runtime, samplesPerSecond, mistakes } = result;
  const task = taskOf(result.task);
  const scores = Object.fromEntries(task.metrics.map(({ name }) => [name, result[name]]));
  return {
    ...{ task: result.task, examples, loss },
    ...scores,
    ...{ runtime, samples_per_second: samplesPerSecond },
    ...task.detailsOf(result.metrics),
    ...(split && mistakes && { mistakes: mistakes.map((mistake) => mistakeRecord(mistake, split)) }),
  };
}

function trainedRecord(trained: TrainResult) {
  const { calibration } = trained;
  return {
    ...(calibration && {
      calibration: {
        temperature: calibration.temperature,
        ece_before: calibration.eceBefore,
        ece_after: calibration.eceAfter,
      },
    }),
    train_runtime: trained.runtime,
    steps: trained.steps,
    epochs: trained.epochs,
    train_loss: trained.trainLoss,
    train_samples_per_second: trained.samplesPerSecond,
    train_steps_per_second: trained.stepsPerSecond,
  };
}

function methodRecord(method: Method | null): MethodRecord {
  return method === null ? { kind: 'none' } : ({ kind: method.kind, ...snakeCase(method) } as MethodRecord);
}

/** All but the method, which has a place of its own; weights by the names of their labels. */
function settingsOf({ method, ...all }: Trainer['settings'], labels: readonly string[]): object {
  const settings = optionsOf(method.kind, all);
  const { classWeights, positiveWeights } = settings;
  const named = (weights: typeof classWeights) =>
    typeof weights === 'object' && weights !== null
      ? Object.fromEntries(labels.map((label, i) => [label, weights[i]]))
      : weights;
  return { ...settings, classWeights: named(classWeights), positiveWeights: named(positiveWeights) };
}

/** The same values under names as Python writes them: `batchSize` becomes `batch_size`. */
function snakeCase(values: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}

/**
 * Data as results.json holds them.
 *
 * @param texts whether the summary may quote texts
 */
export function dataRecord(
  data: TextDataset,
  source: string,
  summary: DatasetSummary,
  texts: boolean,
): DataRecord & { summary: DatasetSummary } {
  const { labels, heldOut } = data;
  const findings = texts ? summary.findings : summary.findings.map(withoutQuotes);
  return {
    ...{ source, labels, splits: splitSizes(data), ...(heldOut && { held_out: heldOut }) },
    summary: { ...summary, findings },
  };
}

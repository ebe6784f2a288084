import type { EventEmitter } from 'node:events';
import { type AlignedSplit, labelCounts } from '../data/split.js';
import type { Ranks } from '../distributed/ranks.js';
import { BertuneError } from '../errors.js';
import type { DirectoryLock } from '../files/lock.js';
import { countPlan, definitionOf, type MethodPlan, type ParameterCounts } from '../methods/index.js';
import { longestFirst, packBatches } from '../model/batches.js';
import type { AnyClassifier } from '../model/classifier.js';
import type { LoadedSplit } from '../model/evaluation.js';
import { planFor } from '../model/retarget.js';
import { datasetOf, type Session } from '../model/session.js';
import { encodeTexts, longTextsOf, textWay } from '../model/texts.js';
import { windowLabels } from '../model/windows.js';
import type { WindowPooling } from '../options/long-texts.js';
import { option } from '../options/names.js';
import type { MetricFunctions } from '../tasks/custom-metrics.js';
import type { LossOptions } from '../tasks/index.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import { BestModel } from './best-model.js';
import { expectNoCheckpoints, type FoundCheckpoint, findCheckpoint } from './checkpoint/directories.js';
import type { Examples } from './checkpoint/resume.js';
import type { EpochSummary, Resumption, TrainerEvents } from './events.js';
import type { FitParts } from './fit/classifier.js';
import type { RunSettings, TrainerSettings } from './options.js';
import { lossOptions, planRun, type RunPlan, samplingWeights } from './plan.js';
import type { RunPosition } from './position.js';
import { withLayerwiseDecay } from './rates.js';
import { expectRoom } from './space.js';
import { createTrainerState, type TrainerState } from './state.js';

/** What is asked of a run, checked. */
export interface RunRequest {
  train: AlignedSplit;
  /** null: nothing is evaluated. */
  validation: AlignedSplit | null;
  metrics: MetricFunctions | undefined;
  signal: AbortSignal | undefined;
  resume: string | undefined;
  /** null: this process trains alone. */
  ranks: Ranks | null;
  /** Asked after each epoch whether it was the last. */
  stopWhen: ((epoch: EpochSummary) => boolean | Promise<boolean>) | undefined;
  /** Of the output directory; null without one, and where another rank has it. */
  lock: DirectoryLock | null;
  events: EventEmitter<TrainerEvents>;
}

/** A run with all that can be known before its first step. */
export interface PreparedRun extends RunRequest {
  model: AnyClassifier;
  /** Before what was open was filled in. */
  given: TrainerSettings;
  plan: RunPlan;
  methodPlan: MethodPlan;
  counts: ParameterCounts;
  /** Of the training split. */
  examples: Examples;
  /** Of the validation split. */
  encodedValidation: EncodedTexts | null;
  pooling: WindowPooling;
  loss: LossOptions;
  /** What else the model is from then on. */
  becomes: FitParts['becomes'];
  state: TrainerState;
  /** null: no best epoch is looked for. */
  best: BestModel | null;
  /** What it goes on from; null: it starts at the beginning. */
  found: FoundCheckpoint | null;
}

/**
 * Reads the texts and plans the steps of a run. What it cannot go on from is found out first.
 *
 * @param given the trainer's options
 * @throws BertuneError as Trainer.train
 */
export async function prepareRun(
  model: AnyClassifier,
  given: TrainerSettings,
  request: RunRequest,
): Promise<PreparedRun> {
  const { validation, signal } = request;
  const { split: train } = request.train;
  const found = await findStart(given, request);
  const methodPlan = withLayerwiseDecay(planFor(model, given.method), given.layerwiseDecay, model.config.layers);
  const isPair = train.pairs !== undefined;
  const way = textWay(model, model.longTexts, given, methodPlan, { isPair });
  const encoded = await encodeTexts(model, train, way.limit, signal);
  const encodedValidation = validation && (await encodeTexts(model, validation.split, way.limit, signal));
  const labels = windowLabels(train.labels, encoded.windows);
  const exampleCounts = [...labelCounts({ ...train, labels })];
  const weights = given.sampling === 'balanced' ? samplingWeights(labels as Int32Array, exampleCounts) : null;
  const plan = await planRun(encoded.offsets, given, signal, weights);
  return {
    ...{ ...request, model, given, plan, methodPlan, counts: countPlan(methodPlan) },
    ...{ examples: { encoded, labels }, encodedValidation, pooling: way.pooling },
    loss: lossOptions(plan.settings, { counts: exampleCounts, examples: plan.examples }),
    becomes: { pairs: isPair, longTexts: longTextsOf(way) },
    state: createTrainerState({ ...plan.settings, maxSteps: plan.totalSteps, epochs: plan.epochs }),
    best: validation && bestModel(plan.settings),
    found,
  };
}

/** The checkpoint to go on from; null: there is none. @throws BertuneError as Trainer.train */
async function findStart(given: TrainerSettings, { resume, lock }: RunRequest): Promise<FoundCheckpoint | null> {
  const { outputDirectory, method } = given;
  const found = resume === undefined ? null : await findCheckpoint(resume, outputDirectory);
  if (found !== null && definitionOf(method.kind).isFitted) {
    throw new BertuneError(
      'INVALID_OPTION',
      `${option('method', method.kind)} is not trained in steps, and ${found.directory} is of another run; leave out ${option('resume')}`,
    );
  }
  if (found === null && outputDirectory !== null && lock !== null) await expectNoCheckpoints(outputDirectory);
  return found;
}

function bestModel(settings: RunSettings): BestModel | null {
  const { loadBestModel, earlyStoppingPatience, earlyStoppingThreshold, metricForBest, saveStrategy } = settings;
  if (!loadBestModel && earlyStoppingPatience === null && saveStrategy !== 'best') return null;
  return new BestModel({
    metric: metricForBest,
    keep: loadBestModel,
    patience: earlyStoppingPatience,
    threshold: earlyStoppingThreshold,
  });
}

/**
 * Tells listeners what is going to be done, once there is room for what it saves.
 *
 * @throws BertuneError OUTPUT_REFUSED
 */
export async function announceRun(run: PreparedRun, position: RunPosition, resumed: Resumption | null): Promise<void> {
  const { model, methodPlan, plan, examples, loss, counts, lock, events } = run;
  const { outputDirectory } = plan.settings;
  if (outputDirectory !== null && lock !== null)
    await expectRoom(outputDirectory, { model, methodPlan, settings: plan.settings, plan, position });
  events.emit('start', {
    totalSteps: plan.totalSteps,
    stepsPerEpoch: plan.stepsPerEpoch,
    epochs: plan.epochs,
    warmupSteps: plan.warmupSteps,
    examples: plan.examples,
    tokens: examples.encoded.ids.length,
    truncated: examples.encoded.truncated,
    classWeights: loss.classWeights && [...loss.classWeights],
    positiveWeights: loss.positiveWeights && [...loss.positiveWeights],
    trainableParameters: counts.trainable,
    totalParameters: counts.total,
    notes: [...new Set([...run.train.notes, ...(run.validation?.notes ?? [])])],
    resumed,
  });
}

/** Work with the validation split in the session; null: there is none. */
export async function withValidation<T>(
  { validation, encodedValidation, plan, pooling, metrics }: PreparedRun,
  session: Session,
  work: (evaluated: LoadedSplit | null) => Promise<T>,
): Promise<T> {
  if (!validation || !encodedValidation) return work(null);
  const { offsets } = encodedValidation;
  const batches = packBatches(offsets, longestFirst(offsets), plan.settings.evalBatchTokens);
  return session.withDataset(datasetOf(encodedValidation), (handle) =>
    work({ ...validation, encoded: encodedValidation, handle, batches, pooling, metrics }),
  );
}

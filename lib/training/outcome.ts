import { labelCounts } from '../data/split.js';
import type { Method } from '../methods/index.js';
import type { Calibration } from '../model/evaluation.js';
import { memoryReport } from '../model/session.js';
import { adviceText, advise } from './advice.js';
import type { TrainResult } from './events.js';
import { optionsOf } from './options.js';
import { guessingLoss } from './plan.js';
import type { EpochRow } from './position.js';
import type { PreparedRun } from './prepare.js';
import type { RunOutcome } from './run.js';

/** What a run came to, whichever way it trained. */
export interface CompletedRun extends RunOutcome {
  /** With what the run itself chose. */
  method: Method;
  /** null: not asked for. */
  calibration: Calibration | null;
  epochs: EpochRow[];
}

/** Lets the model keep what its card is to say of its training, and tells the caller what the run came to. */
export function concludeRun(run: PreparedRun, completed: CompletedRun): TrainResult {
  const { model, plan, examples, counts, state, best } = run;
  const { split: train } = run.train;
  const { stopped, summary, evaluation, calibration, epochs, method } = completed;
  const settings = { ...plan.settings, method };
  const { learningRate, schedule, warmupSteps, batchSize, gradientAccumulation, weightDecay, seed } = settings;
  const told = { learningRate, schedule, warmupSteps, batchSize, gradientAccumulation, weightDecay, seed };
  model.keepTraining({
    facts: {
      settings: optionsOf(method.kind, told),
      ...{ examples: plan.examples, steps: summary.step, epochs: summary.epoch },
    },
    measured: evaluation && { split: 'validation', result: evaluation },
  });
  const classCounts = [...labelCounts(train)];
  const advice = advise({
    ...{ task: model.task, settings, hiddenSize: model.config.hiddenSize, labels: model.labels },
    ...{ counts: classCounts, guessing: guessingLoss(train, settings) },
    ...{ usualSteps: plan.usualSteps, stopped, steps: summary.step, epochs, logHistory: state.log_history, evaluation },
  });
  return {
    stopped,
    steps: summary.step,
    epochs: summary.epoch,
    trainLoss: summary.train_loss,
    runtime: summary.train_runtime,
    samplesPerSecond: summary.train_samples_per_second,
    stepsPerSecond: summary.train_steps_per_second,
    truncated: examples.encoded.truncated,
    logHistory: state.log_history,
    state,
    memory: memoryReport(model.session),
    trainableParameters: counts.trainable,
    totalParameters: counts.total,
    best: best?.best ?? null,
    evaluation,
    calibration,
    classCounts,
    advice: advice.map((each) => adviceText(each)),
  };
}

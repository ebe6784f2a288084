import { join } from 'node:path';
import { definitionOf } from '../methods/index.js';
import type { RunRecord } from '../report/records.js';
import { epochLine, rateWords, stepsWords } from '../report/run-lines.js';
import { type TensorBoardLog, tensorBoard } from '../report/tensorboard.js';
import { type TaskKind, taskOf } from '../tasks/index.js';
import type { EpochSummary, Progress } from '../training/events.js';
import type { Lane } from '../training/lockstep.js';
import type { Experiment } from './experiment.js';
import { MedianRule } from './median.js';
import { errorRecord, failedRun, Run } from './run.js';

/** What happens while a run is carried out. */
export interface RunEvents {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RunProgress) => void;
  /** Given a line about an epoch that has ended. */
  readonly onEpoch?: (line: string) => void;
  readonly onNote?: (text: string) => void;
  /** Given what the run is going to do, a line each. */
  readonly onPlan?: (lines: readonly string[]) => void;
  /** Told of the process of the run that a signal has ended it. */
  readonly onKilled?: (signal: NodeJS.Signals) => void;
}

/**
 * Carries a run out from loading to the test split, and saves nothing.
 *
 * @param lane its place among runs that train together. Defaults to none
 * @returns its record; one with status 'failed' or 'stopped' where it did not come to its end. Never rejects.
 */
export async function executeRun(
  experiment: Experiment,
  events: RunEvents = {},
  lane: Lane | null = null,
): Promise<RunRecord> {
  let run: Run | undefined;
  let log: TensorBoardLog | undefined;
  try {
    run = await Run.open(experiment, events.signal);
    const { trainer, model } = run;
    for (const note of run.notes) events.onNote?.(note);
    trainer.on('progress', (progress) => events.onProgress?.(runProgress(progress, model.task)));
    trainer.on('epoch', (summary) => events.onEpoch?.(epochLine(summary)));
    trainer.on('start', (plan) => {
      const { settings } = trainer;
      const planned = { settings, options: experiment.options, hiddenSize: model.config.hiddenSize, plan };
      events.onPlan?.(
        definitionOf(settings.method.kind).isFitted
          ? []
          : [`learning rate ${rateWords(planned)}`, `steps ${stepsWords(planned)}`],
      );
      for (const note of plan.notes) events.onNote?.(note);
    });
    if (experiment.method === null) {
      const measured = await run.measure(events.signal);
      for (const note of measured.test?.notes ?? []) events.onNote?.(note);
      return run.record({ status: 'done', ...measured });
    }
    log = await logOf(run);
    const { stop } = experiment;
    const rule = stop && (await MedianRule.of(stop, experiment.name, trainer.settings.metricForBest));
    const stopWhen = rule && ((epoch: EpochSummary) => rule.ends(epoch));
    const trained = await run.train({ signal: events.signal, resume: experiment.resume, stopWhen }, lane);
    // What was given up is not measured on texts that it could still be chosen by.
    if (rule?.ended) return run.record({ status: 'stopped', stop: rule.ended, trained });
    return run.record({ status: 'done', trained, ...(await run.measure(events.signal)) });
  } catch (cause) {
    const error = errorRecord(cause);
    const status = error.code === 'ABORTED' ? 'stopped' : 'failed';
    return run === undefined ? { ...failedRun(experiment, error), status } : run.record({ status, error });
  } finally {
    lane?.leave();
    await log?.close().catch((cause) => events.onNote?.(errorRecord(cause).message));
    await run?.model.dispose();
  }
}

/** The log for TensorBoard of a run that wants one. */
export async function logOf({ experiment, trainer }: Run): Promise<TensorBoardLog | undefined> {
  const { tensorboard, name } = experiment;
  return tensorboard === undefined ? undefined : tensorBoard(trainer, join(tensorboard, name));
}

/** Where a run stands. */
export interface RunProgress {
  /** Optimizer steps. */
  readonly done: number;
  readonly total: number;
  readonly epoch: number;
  readonly epochs: number;
  readonly loss: number;
  /** Undefined in regression, which has none. */
  readonly accuracy?: number;
  readonly secondsLeft: number;
}

/** A trainer's progress as people are shown it. */
export function runProgress(progress: Progress, task: TaskKind): RunProgress {
  const { step, totalSteps, epoch, epochs, loss, accuracy, secondsLeft } = progress;
  const right = taskOf(task).labels === 'values' ? {} : { accuracy };
  return { done: step, total: totalSteps, epoch, epochs, loss, ...right, secondsLeft };
}

import type { RunProgress } from '../experiments/execute.js';
import type { Experiment } from '../experiments/experiment.js';
import { runTogetherInProcess } from '../experiments/runner.js';
import { formatSeconds } from '../format.js';
import { headlineOf } from '../report/metrics.js';
import type { RunRecord } from '../report/records.js';
import type { Progress } from './progress.js';

/** A run to carry out. */
export interface Work {
  readonly experiment: Experiment;
  /** Others that train together with it, and are kept behind it. Defaults to none. */
  readonly others?: readonly Experiment[];
  /** Its name and its place among the others. */
  readonly title: string;
  /** Whether others run at the same time, so that a line about it has to name it. Defaults to false. */
  readonly isBeside?: boolean;
  /** Stops this run alone. Defaults to none. */
  readonly signal?: AbortSignal;
  /** Of its process. Defaults to ours. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Defaults to a line that shows it. */
  readonly onProgress?: (state: RunProgress) => void;
  readonly onKilled?: (signal: NodeJS.Signals) => void;
  /** Does with its record what is to be done, before the next begins. */
  keep(run: RunRecord): Promise<void>;
}

/**
 * Carries runs out one after the other, each in a process of its own, and tells how they go.
 *
 * @param work asked for the next run once the one before is kept
 * @param signal stops the run that is under way; no other begins
 * @throws what `work` and `keep` throw
 */
export async function runEach(
  work: Iterable<Work> | AsyncIterable<Work>,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const noted = new Set<string>();
  const onNote = (text: string) => {
    // Runs that start from the same model have the same to say of it.
    if (!noted.has(text)) progress.note(`note: ${text}`);
    noted.add(text);
  };
  for await (const each of work) {
    for (const run of await carryOut(each, progress, signal, onNote)) await each.keep(run);
    if (signal.aborted) break;
  }
}

async function carryOut(
  { experiment, others = [], title, environment, onProgress, onKilled, ...own }: Work,
  progress: Progress,
  signal: AbortSignal,
  onNote: (text: string) => void,
): Promise<readonly RunRecord[]> {
  if (!progress.interactive) progress.note(title);
  const start = performance.now();
  const events = {
    signal: own.signal ? AbortSignal.any([signal, own.signal]) : signal,
    onPlan: (lines: readonly string[]) => {
      for (const line of lines) progress.note(others.length > 0 ? line : `${experiment.title}: ${line}`);
    },
    onProgress: onProgress ?? ((state: RunProgress) => progress.update(title, state)),
    onEpoch: (line: string) => {
      if (!progress.interactive) progress.note(own.isBeside ? `${experiment.title}: ${line}` : line);
    },
    onNote,
    ...(onKilled && { onKilled }),
  };
  const runs = await runTogetherInProcess([experiment, ...others], events, environment);
  progress.clear();
  const seconds = formatSeconds((performance.now() - start) / 1000);
  for (const run of runs) {
    const [name, took] = others.length > 0 ? [run.title, `${seconds} s for ${runs.length}`] : [title, `${seconds} s`];
    progress.note(`${name}: ${outcomeOf(run)}, ${took}`);
    for (const line of run.advice ?? []) progress.note(`${run.title}: advice: ${line}`);
  }
  return runs;
}

function outcomeOf(run: RunRecord): string {
  if (run.error) return `${run.status} [${run.error.code}]`;
  if (run.stop) return `stopped after epoch ${run.stop.epoch}, below the median of ${run.stop.of} others`;
  return headlineOf(run.task, run.test ?? run.validation ?? {})[0]!;
}

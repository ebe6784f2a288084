import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../native/package.js';
import { type Flags, flagsInUse } from '../options/names.js';
import type { RunRecord } from '../report/records.js';
import type { RunEvents, RunProgress } from './execute.js';
import type { Experiment } from './experiment.js';
import { errorRecord, failedRun } from './run.js';

/** What the parent tells the process of a run. */
export type Request =
  | {
      readonly type: 'run';
      /** More than one train together. */
      readonly experiments: readonly Experiment[];
      /** How the parent's messages name options; so do the run's. */
      readonly flags: Flags;
    }
  | { readonly type: 'abort' };

/** What the process of a run tells its parent. */
export type Report =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly progress: RunProgress }
  | { readonly type: 'epoch'; readonly line: string }
  | { readonly type: 'plan'; readonly lines: readonly string[] }
  | { readonly type: 'note'; readonly text: string }
  | { readonly type: 'result'; readonly records: readonly RunRecord[] };

// Compiled or, under a loader that reads TypeScript, not.
const WORKER = join(
  packageRoot(),
  import.meta.url.endsWith('.ts') ? 'lib/experiments/worker.ts' : 'dist/experiments/worker.js',
);

/**
 * Carries a run out in a process of its own, so that its peak memory and its time are its own.
 *
 * @param environment variables that its process has beside ours. Defaults to none
 * @returns the run's record; one with status 'failed' where the run, or its process, failed. Never rejects.
 */
export async function runInProcess(
  experiment: Experiment,
  events: RunEvents = {},
  environment: NodeJS.ProcessEnv = {},
): Promise<RunRecord> {
  const [record] = await runTogetherInProcess([experiment], events, environment);
  return record!;
}

/** The same for several runs that train together, in one process; their records in their order. */
export async function runTogetherInProcess(
  experiments: readonly Experiment[],
  events: RunEvents = {},
  environment: NodeJS.ProcessEnv = {},
): Promise<readonly RunRecord[]> {
  const env = { ...process.env, ...environment };
  // Stdout is for results: whatever a library prints goes to stderr.
  const child = fork(WORKER, { stdio: ['ignore', 2, 2, 'ipc'], serialization: 'advanced', env });
  const kill = () => child.kill('SIGKILL');
  const abort = () => send(child, { type: 'abort' });
  process.once('exit', kill);
  events.signal?.addEventListener('abort', abort, { once: true });
  try {
    return await follow(child, experiments, events);
  } finally {
    process.off('exit', kill);
    events.signal?.removeEventListener('abort', abort);
  }
}

function send(child: ChildProcess, request: Request): void {
  // A process that has just died is noticed by its exit.
  if (child.connected) child.send(request, () => {});
}

function follow(
  child: ChildProcess,
  experiments: readonly Experiment[],
  events: RunEvents,
): Promise<readonly RunRecord[]> {
  const failed = (error: NonNullable<RunRecord['error']>) => experiments.map((each) => failedRun(each, error));
  return new Promise((resolve) => {
    let records: readonly RunRecord[] | undefined;
    child.on('message', (report: Report) => {
      if (report.type === 'ready') {
        send(child, { type: 'run', experiments, flags: flagsInUse() });
        if (events.signal?.aborted) send(child, { type: 'abort' });
      } else if (report.type === 'progress') events.onProgress?.(report.progress);
      else if (report.type === 'epoch') events.onEpoch?.(report.line);
      else if (report.type === 'plan') events.onPlan?.(report.lines);
      else if (report.type === 'note') events.onNote?.(report.text);
      else {
        records = report.records;
        // It has nothing left to do, and Node.js may hang where it ends by itself.
        child.kill('SIGKILL');
      }
    });
    child.on('error', (error) => resolve(records ?? failed(errorRecord(error))));
    child.on('close', (status, signal) => {
      if (records === undefined && signal !== null) events.onKilled?.(signal);
      const how = signal === null ? `with status ${status}` : `by ${signal}`;
      resolve(
        records ??
          failed({
            code: 'INTERNAL',
            message: `The process of this run was ended ${how} before its result came`,
          }),
      );
    });
  });
}

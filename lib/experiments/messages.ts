import type { Flags } from '../options/names.js';
import type { RunRecord } from '../report/records.js';
import type { Experiment } from './experiment.js';
import type { RunProgress } from './progress.js';

/** What the parent tells the process of a run. */
export type Request =
  | {
      readonly type: 'run';
      readonly experiment: Experiment;
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
  | { readonly type: 'result'; readonly record: RunRecord };

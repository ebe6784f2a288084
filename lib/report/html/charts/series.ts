import type { RunMark } from '../../../methods/method.js';
import type { RunRecord } from '../../records.js';
import { kindMark } from '../palette.js';
import type { Point } from './smooth.js';

/** A run in a chart: its name, colour and shape. */
export interface Mark {
  readonly title: string;
  /** A colour of the page, e.g. `var(--run-0)`. */
  readonly color: string;
  readonly symbol: RunMark['symbol'];
}

/** A curve of a run. */
export interface Series extends Mark {
  readonly points: readonly Point[];
}

/** How the run at `index` is marked in every chart. */
export function markOf(run: RunRecord, index: number): Mark {
  return { title: run.title, color: `var(--run-${index})`, symbol: kindMark(run.method.kind).symbol };
}

/** The points of a run's log where it has a number under `key`. */
export function logPoints({ log_history }: RunRecord, x: 'step' | 'epoch', key: string): Point[] {
  return log_history.flatMap((row) => {
    const [at, value] = [row[x], row[key]];
    return typeof at === 'number' && Number.isFinite(at) && typeof value === 'number' ? [{ x: at, y: value }] : [];
  });
}

/** One curve a run that has points. */
export function seriesOf(runs: readonly RunRecord[], x: 'step' | 'epoch', key: string): Series[] {
  return runs
    .map((run, index) => ({ ...markOf(run, index), points: logPoints(run, x, key) }))
    .filter(({ points }) => points.some(({ y }) => Number.isFinite(y)));
}

import type { RunMark } from '../../../methods/method.js';
import type { RunRecord } from '../../records.js';
import { kindMark } from '../palette.js';

/** A run in a chart: its name, color and shape. */
export interface Mark {
  readonly title: string;
  /** A color of the page, e.g. `var(--run-0)`. */
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

/** A point of a curve. */
interface Point {
  readonly x: number;
  readonly y: number;
}

/** The points of a curve, at most ... */
const MOST_POINTS = 50;
/** ... and of a curve with more, so many are drawn. */
export const DRAWN_POINTS = 40;

/**
 * A curve that is no longer than can be seen: the means of equal parts, each where its part ends, as a log has the mean loss of
 * the steps before it.
 *
 * @param points with finite heights
 * @returns the points themselves where there are at most 50, otherwise 40
 */
export function averaged(points: readonly Point[]): readonly Point[] {
  if (points.length <= MOST_POINTS) return points;
  return Array.from({ length: DRAWN_POINTS }, (_, part) => {
    const [from, to] = [part, part + 1].map((i) => Math.round((i * points.length) / DRAWN_POINTS)) as [number, number];
    const own = points.slice(from, to);
    return { x: own.at(-1)!.x, y: own.reduce((sum, { y }) => sum + y / own.length, 0) };
  });
}

/** At most 50 of the points; of more 40, evenly taken, the first and the last among them. */
export function thinned(points: readonly Point[]): readonly Point[] {
  if (points.length <= MOST_POINTS) return points;
  const step = (points.length - 1) / (DRAWN_POINTS - 1);
  return Array.from({ length: DRAWN_POINTS }, (_, index) => points[Math.round(index * step)]!);
}

import type { RunMark } from '../../../methods/method.js';
import type { RunRecord } from '../../records.js';
import { kindMark } from '../palette.js';

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

/** A point of a curve. */
interface Point {
  readonly x: number;
  readonly y: number;
}

/** Below so many points a curve is shown as it is. */
const SMOOTHED_POINTS = 24;
/** A smoothed point stands for one part in so many of the curve. */
const PARTS = 30;

/**
 * A moving average around points evenly taken, of what there is of it at the ends, so that the curve does not lag behind.
 *
 * @param points with finite heights
 * @param count of the points that are wanted at most
 * @returns the points themselves where there are few
 */
export function smooth(points: readonly Point[], count: number): readonly Point[] {
  if (points.length < SMOOTHED_POINTS) return thin(points, count);
  const widest = Math.max(1, Math.round(points.length / PARTS / 2));
  return places(points.length, count).map((index) => {
    const window = points.slice(Math.max(0, index - widest), index + widest + 1);
    return { x: points[index]!.x, y: window.reduce((sum, { y }) => sum + y / window.length, 0) };
  });
}

/** At most `count` of the points, evenly taken, the last among them. */
export function thin(points: readonly Point[], count: number): readonly Point[] {
  return points.length <= count ? points : places(points.length, count).map((index) => points[index]!);
}

/** At most `count` of `length` indices, evenly taken, the last among them. */
function places(length: number, count: number): number[] {
  const taken = Math.min(length, count);
  return Array.from({ length: taken }, (_, index) => Math.round((index * (length - 1)) / Math.max(1, taken - 1)));
}

/** A point of a curve. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Below so many points a curve is shown as it is. */
const SMOOTHED_POINTS = 24;
/** A smoothed point stands for one part in so many of the curve. */
const PARTS = 30;

/**
 * A moving average around each point, of what there is of it at the ends, so that the curve does not lag behind.
 *
 * @param points with finite heights
 * @returns one point a point; the points themselves where there are few
 */
export function smooth(points: readonly Point[]): readonly Point[] {
  if (points.length < SMOOTHED_POINTS) return points;
  const widest = Math.max(1, Math.round(points.length / PARTS / 2));
  return points.map(({ x }, index) => {
    const window = points.slice(Math.max(0, index - widest), index + widest + 1);
    return { x, y: window.reduce((sum, { y }) => sum + y, 0) / window.length };
  });
}

/** At most `count` of the points, evenly taken, the last among them. */
export function thin(points: readonly Point[], count: number): readonly Point[] {
  if (points.length <= count) return points;
  const step = (points.length - 1) / (count - 1);
  return Array.from({ length: count }, (_, index) => points[Math.round(index * step)]!);
}
